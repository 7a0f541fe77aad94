"""Options by the names that they have in other programs: which of ours is meant by one that there is not."""

from __future__ import annotations

from typing import Any

# By option: what else it is called, elsewhere or by a slip, without the dashes.
CALLED = {
    "--act": "activation activations activation-function act-fn nonlinearity",
    "--as-category": "categorical categories category categorical-columns cat",
    "--backend": "engine",
    "--batch-norm": "batchnorm bn batch-normalization batch-normalisation",
    "--batch-size": "batch batches batchsize bs minibatch mini-batch minibatch-size",
    "--beta1": "beta-1",
    "--beta2": "beta-2",
    "--class-weight": "class-weights weights weight",
    "--clip-norm": "clipnorm grad-clip max-grad-norm gradient-clip",
    "--data": "dataset file input csv train train-data training-data path data-path train-file",
    "--drop": "drop-columns drop-column exclude ignore",
    "--dropout": "dropout-rate drop-rate drop-out",
    "--epochs": "epoch n-epochs num-epochs max-epochs max-iter iterations iters iter steps n-iter",
    "--epsilon": "eps",
    "--folds": "cv fold kfold k-fold k-folds n-folds n-splits splits cross-validation cross-validate",
    "--hidden": "hidden-layers hidden-layer hidden-layer-sizes hidden-sizes hidden-size hidden-units layers "
    "layer units width widths neurons",
    "--init": "initializer initialiser kernel-initializer initialization initialisation weight-init",
    "--keep": "keep-columns include",
    "--label": "target targets labels y y-column label-column target-column class outcome response",
    "--label-smoothing": "smoothing",
    "--loss": "criterion objective loss-function cost",
    "--lr": "learning-rate learningrate learning-rate-init rate step-size eta",
    "--min-accuracy": "accuracy min-acc",
    "--optimizer": "optim solver opt",
    "--out": "output output-dir out-dir outdir output-folder save save-to run-dir folder",
    "--patience": "early-stopping early-stop n-iter-no-change",
    "--proba": "prob probs probability probabilities predict-proba",
    "--quiet": "silent no-progress",
    "--resume": "continue restart from-checkpoint",
    "--scale": "normalize normalise normalization standardize standardise scaler scaling rescale preprocess",
    "--schedule": "scheduler lr-schedule lr-scheduler learning-rate-schedule",
    "--seed": "random-state random-seed rng random",
    "--task": "problem regression classification mode kind",
    "--test-data": "test test-set test-file testset eval-data",
    "--threads": "n-jobs jobs num-threads n-threads cpus cores workers num-workers thread",
    "--validation": "val valid val-split validation-split validation-fraction val-fraction holdout",
    "--weight-decay": "wd decay l2-regularization",
}
_MEANT = {name: option for option, names in CALLED.items() for name in names.split()}


def meant(name: str, options: set[str]) -> str | None:
    """The one of ``options`` that an option of another name means; None where that is not known."""
    bare = name.lower().replace("_", "-").strip("-")
    option = f"--{bare}"
    option = option if option in options else _MEANT.get(bare, "")
    return option if option in options else None


def suggest(problem: Any) -> None:
    """Change a usage error about an option or an argument that there is not: it says what is meant."""
    name, context = getattr(problem, "option_name", None), getattr(problem, "ctx", None)
    if context is None:
        return
    options = {option for param in context.command.params for option in getattr(param, "opts", ())}
    if "--data" in options and problem.message.startswith("Got unexpected extra argument"):
        problem.message += ". Data are named by --data."
    if not name or not hasattr(problem, "possibilities"):
        return
    near = [*(problem.possibilities or ())]
    found = meant(name, options) or (near[0] if len(near) == 1 else None)
    if found is not None:
        problem.message = f"{problem.message}. Did you mean '{found}'?"
        problem.possibilities = None
