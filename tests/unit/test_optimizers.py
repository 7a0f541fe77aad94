"""Optimizers, weights of samples and classes, schedules, early stopping.

The kernels against the reference, and both against what they are meant to do. test_torch_parity.py
holds them against PyTorch, small_trainings.py has the bytes on other machines.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from cli_runs import run, save_blobs
from compare import check, check_named, error
from nets import call, learnable, net_of, values, weights

import fastmlp
from fastmlp import (
    Architecture,
    ConfigError,
    DataError,
    DivergedError,
    ModelError,
    Training,
    kernels,
    reference,
)
from fastmlp.backends.state import OptimizerState
from fastmlp.net import Parameters
from fastmlp.train.loop import parted, weights_of
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import Optimizer

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

RULES = {
    "plain": Optimizer(),
    "decay": Optimizer(weight_decay=0.1),
    "momentum": Optimizer(momentum=0.9),
    "nesterov": Optimizer(momentum=0.8, nesterov=True, weight_decay=0.01, alpha=0.5),
    "adam": Optimizer("adam"),
    "adam decay": Optimizer("adam", beta1=0.7, beta2=0.9, epsilon=1e-3, weight_decay=0.02, alpha=0.3),
}
KINDS = ("uint8 sparse", "uint8 dense", "float32 sparse", "float32 dense", "uint8 centred", "float32 centred")
BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])
OURS = pytest.mark.parametrize("rule", list(RULES))


def problem(kind="uint8 sparse", N=90, D=37, hidden=(13,), K=4, seed=0):
    rng = np.random.default_rng(seed)
    X = values(rng, kind, N, D)
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if kind.endswith("centred") else None
    options = {"act": "tanh", "scale": 255.0 if kind.startswith("uint8") else 1.0, "mean": mean}
    return weights(rng, Architecture(D, layers_of(hidden, "tanh"), K)), X, rng.integers(0, K, N), options


def trained(nn, p, X, y, optimizer, epochs=2, **options):
    """Parameters, state and last totals after so many epochs in one order."""
    p, order = p.copy(), np.random.default_rng(5).permutation(len(y))
    state = OptimizerState.start(p, optimizer)
    options = {"batch_size": 32, "lr": 0.02, **options}
    totals = [
        call(nn.train_epoch, p, X, y, order, optimizer=optimizer, state=state, **options)
        for _ in range(epochs)
    ]
    return p, state, totals[-1]


@OURS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_kernels_take_the_references_steps(rule, kind, weighted):
    p, X, y, options = problem(kind, hidden=(13, 6))
    if weighted:
        options["sample_weight"] = np.random.default_rng(2).random(90) * (np.arange(90) % 5 > 0)
    if kind == "float32 sparse":
        X = scipy.sparse.csr_matrix(X)
    ours, state, totals = trained(kernels, p, X, y, RULES[rule], threads=2, **options)
    theirs, expected, wanted = trained(reference, p, X, y, RULES[rule], **options)
    check_named("trajectory weights", ours, theirs)
    check("trajectory loss", totals.loss, wanted.loss)
    assert totals[1:4] == wanted[1:4]
    assert state.steps == expected.steps == 6
    for a, b in zip(state.moments, expected.moments, strict=True):
        check_named("trajectory weights", a, b)
    assert error(ours.weights[0], p.weights[0]) > 1e-4


@OURS
def test_bytes_do_not_depend_on_threads_or_driver(rule):
    p, X, y, options = problem(N=150, D=130, hidden=(20,))
    options["sample_weight"] = np.random.default_rng(3).random(len(X))
    one = trained(kernels, p, X, y, RULES[rule], **options)
    for threads, driver in ((2, "team"), (3, "team"), (8, "team"), (2, "prange")):
        other = trained(kernels, p, X, y, RULES[rule], threads=threads, driver=driver, **options)
        assert other[0].sha256() == one[0].sha256()
        assert [m.sha256() for m in other[1].moments] == [m.sha256() for m in one[1].moments]
        assert other[2][:4] == one[2][:4]


@BOTH
@OURS
def test_two_epochs_with_a_state_are_one_epoch_of_both_orders(nn, rule):
    p, X, y, options = problem()
    order, more = np.arange(64), np.arange(32, 90)[:58]
    both, (q, r) = np.concatenate([order, more]), (p.copy(), p.copy())
    state = OptimizerState.start(p, RULES[rule])
    for part in (order, more):
        call(nn.train_epoch, q, X, y, part, batch_size=32, optimizer=RULES[rule], state=state, **options)
    call(nn.train_epoch, r, X, y, both, batch_size=32, optimizer=RULES[rule], **options)
    assert q.sha256() == r.sha256()
    forgotten = p.copy()
    for part in (order, more):
        call(nn.train_epoch, forgotten, X, y, part, batch_size=32, optimizer=RULES[rule], **options)
    assert (forgotten.sha256() == r.sha256()) == (RULES[rule].moments == 0)


@BOTH
def test_the_first_steps_are_those_of_the_formulas(nn):
    """One weight at a time, in Python's own numbers, from the backend's gradients."""
    p, X, y, options = problem(hidden=())
    for optimizer in RULES.values():
        q, moments, lr = p.copy(), [0.0, 0.0], 0.05
        state = OptimizerState.start(q, optimizer)
        w = float(p.weights[0][3, 1])
        for t in range(1, 5):
            now = call(nn.loss_and_gradients, q, X, y, **options).gradients.weights[0]
            g = float(now[3, 1]) + (optimizer.weight_decay + optimizer.alpha / len(X)) * w
            if optimizer.name == "adam":
                moments[0] = optimizer.beta1 * moments[0] + (1 - optimizer.beta1) * g
                moments[1] = optimizer.beta2 * moments[1] + (1 - optimizer.beta2) * g * g
                m, v = moments[0] / (1 - optimizer.beta1**t), moments[1] / (1 - optimizer.beta2**t)
                w -= lr * m / (math.sqrt(v) + optimizer.epsilon)
            else:
                moments[0] = optimizer.momentum * moments[0] + g
                w -= lr * (g + optimizer.momentum * moments[0] if optimizer.nesterov else moments[0])
            call(
                nn.train_epoch,
                q,
                X,
                y,
                np.arange(len(X)),
                batch_size=len(X),
                lr=lr,
                optimizer=optimizer,
                state=state,
                **options,
            )
            assert float(q.weights[0][3, 1]) == pytest.approx(w, rel=2e-5)


@BOTH
def test_decay_reaches_biases_and_alpha_does_not(nn):
    p, X, y, options = problem(hidden=(5,))
    p = fastmlp.Parameters([w * 0 for w in p.weights], [b * 0 + 1 for b in p.biases])
    for optimizer, shrinks in ((Optimizer(weight_decay=0.5), True), (Optimizer(alpha=0.5 * 90), False)):
        q, plain = p.copy(), p.copy()
        for r, o in ((q, optimizer), (plain, Optimizer())):
            call(nn.train_epoch, r, X, y, np.arange(90), batch_size=90, lr=0.1, optimizer=o, **options)
        np.testing.assert_allclose(q.biases[0], plain.biases[0] - 0.05 * shrinks, rtol=1e-6)


@BOTH
@OURS
def test_a_weight_of_two_is_the_row_twice(nn, rule):
    p, X, y, options = problem(N=30)
    counts = np.random.default_rng(1).integers(0, 3, 30)
    rows = np.repeat(np.arange(30), counts)
    kwargs = {"optimizer": RULES[rule], "lr": 0.05, **options}
    if RULES[rule].alpha:
        kwargs["optimizer"] = replace(RULES[rule], alpha=0)  # it is divided by the number of rows
    q, r = p.copy(), p.copy()
    weighted = call(nn.train_epoch, q, X, y, np.arange(30), batch_size=30, sample_weight=counts, **kwargs)
    repeated = call(nn.train_epoch, r, X, y, rows, batch_size=len(rows), **kwargs)
    check_named("trajectory weights", q, r)
    check("trajectory loss", weighted.loss, repeated.loss)
    a = call(nn.loss_and_gradients, p, X, y, sample_weight=counts, **options)
    b = call(nn.loss_and_gradients, p, X[rows], y[rows], **options)
    check("loss", a.loss, b.loss)
    check_named("permuted", a.gradients, b.gradients)


@BOTH
@OURS
def test_a_batch_that_does_not_count_changes_nothing(nn, rule):
    p, X, y, options = problem(N=64)
    q, order = p.copy(), np.arange(64)
    totals = call(
        nn.train_epoch,
        q,
        X,
        y,
        order,
        batch_size=16,
        sample_weight=np.zeros(64),
        optimizer=RULES[rule],
        **options,
    )
    assert q.sha256() == p.sha256()
    assert totals.loss == 0
    first = np.where(order < 16, 1.0, 0.0)
    call(nn.train_epoch, q, X, y, order, batch_size=16, sample_weight=first, optimizer=RULES[rule], **options)
    alone = p.copy()
    call(nn.train_epoch, alone, X, y, order[:16], batch_size=16, optimizer=RULES[rule], **options)
    assert q.sha256() == alone.sha256()


@BOTH
def test_divergence_leaves_parameters_and_state_alone(nn):
    p, X, y, options = problem()
    options["act"] = "identity"
    for optimizer in (RULES["momentum"], RULES["adam"]):
        q, state, _ = trained(nn, p, X, y, optimizer, **options)
        before = q.sha256(), state.steps, [m.sha256() for m in state.moments]
        with pytest.raises(DivergedError):
            call(
                nn.train_epoch,
                q,
                X,
                y,
                np.tile(np.arange(90), 9),
                lr=1e30,
                optimizer=optimizer,
                state=state,
                **options,
            )
        assert (q.sha256(), state.steps, [m.sha256() for m in state.moments]) == before


@BOTH
@pytest.mark.parametrize("K", [1, 3])
def test_squared_loss(nn, K):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(50, 9)).astype(np.float32), rng.normal(size=(50, K)).astype(np.float32)
    drawn = [rng.normal(size=shape).astype(np.float32) / 3 for shape in ((9, 6), (6, K))]
    p = Parameters(tuple(drawn), tuple(np.zeros(width, np.float32) for width in (6, K)))
    out = np.tanh(X @ p.weights[0] + p.biases[0]) @ p.weights[1] + p.biases[1]
    got = nn.loss_and_gradients(net_of(p, act="tanh"), X, Y, loss="half_squared")
    check("loss", got.loss, ((out - Y) ** 2).sum(axis=1).mean() / 2)
    check("gradient", got.gradients.biases[1], (out - Y).mean(axis=0))
    check("outputs", nn.logits(net_of(p, act="tanh"), X), out)
    evaluated = nn.evaluate(net_of(p, act="tanh"), X, Y, loss="half_squared", rows=np.arange(7))
    check("loss", evaluated.loss, ((out - Y)[:7] ** 2).sum(axis=1).mean() / 2)
    q = p.copy()
    for _ in range(300):
        nn.train_epoch(net_of(q, act="tanh"), X, Y, np.arange(50), loss="half_squared", lr=0.1, batch_size=10)
    assert nn.evaluate(net_of(q, act="tanh"), X, Y, loss="half_squared").loss < got.loss / 3
    for bad in (Y[:-1], Y.ravel() if K > 1 else Y[:, [0, 0]], Y * np.nan, Y.astype(str)):
        with pytest.raises(DataError, match="y must"):
            nn.evaluate(net_of(p), X, bad, loss="half_squared")


@BOTH
def test_logits_give_the_probabilities(nn):
    p, X, y, options = problem(N=300)
    logits = call(nn.logits, p, X, threads=2, **options)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    check("probabilities", call(nn.predict_proba, p, X, **options), odds / odds.sum(axis=1, keepdims=True))
    check("outputs", logits, call(nn.forward, p, X, **options)[-1])
    some = call(nn.evaluate, p, X, y, rows=np.arange(100, 170), **options)
    check("loss", some.loss, call(nn.evaluate, p, X[100:170], y[100:170], **options).loss)


@BOTH
def test_bad_arguments_are_named(nn):
    p, X, y, _ = problem()
    order = np.arange(90)
    too_large = np.where(order == 7, 1e31, 1.0)  # with some more of it, a batch's sum would be infinite
    for bad in (
        np.ones(89), -np.ones(90), np.full(90, np.nan), too_large, np.array(["a"] * 90), np.ones((90, 1)),
    ):  # fmt: skip
        with pytest.raises(DataError, match="sample_weight must"):
            nn.train_epoch(net_of(p), X, y, order, sample_weight=bad)
    with pytest.raises(ModelError, match="state must hold 2 moments"):
        nn.train_epoch(
            net_of(p),
            X,
            y,
            order,
            optimizer=Optimizer("adam"),
            state=OptimizerState.start(p, Optimizer(momentum=0.9)),
        )
    with pytest.raises(DataError, match="order must"):
        nn.evaluate(net_of(p), X, y, rows=np.array([90]))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"schedule": "linear"}, "schedule must be one of constant, step"),
        ({"schedule": "step:0,0.1"}, "schedule must be"),
        ({"schedule": "step:5"}, "schedule must be"),
        ({"validation": 1}, "validation must be"),
        ({"patience": 3}, "patience must come with rows held out"),
        ({"class_weight": "even"}, "class_weight must be balanced"),
        ({"class_weight": [0, 0]}, "class_weight must be"),
        ({"class_weight": [1, -1]}, "class_weight must be"),
        ({"class_weight": {1: 2}}, "class_weight must be"),
        ({"optimizer": "adam", "momentum": 0.5}, "momentum must come with sgd or rmsprop"),
        ({"optimizer": "adagrad", "beta2": 0.5}, "beta2 must come with adam"),
    ],
)
def test_training_is_checked(fields, what):
    with pytest.raises(ConfigError, match=what):
        Training.of(**fields)


def test_training_goes_through_json_and_says_what_is_not_plain():
    training = Training.of(
        optimizer="adam", weight_decay=1e-4, schedule="step:5,0.1", validation=0.1, patience=2,
        class_weight=(1, 2),
    )  # fmt: skip
    assert Training.from_json(training.to_json()) == training
    assert training.to_json()["class_weight"] == [1.0, 2.0]
    for word in ("adam", "weight decay 0.0001", "step:5,0.1", "0.1 held out", "patience 2", "weighted"):
        assert word in training.in_words()
    assert "Nesterov momentum 0.9" in Training.of(momentum=0.9, nesterov=True).in_words()
    assert "lr 0.01, batch 100, 15 epochs, glorot_uniform, seed 0" in Training().in_words()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_early_stopping_restores_the_best_weights(backend):
    X, y = learnable(1, 120, 40, 4, noise=0.6)
    y[::3] = np.random.default_rng(0).integers(0, 4, len(y[::3]))  # to be learnt by heart
    seen = []
    model, history = fastmlp.fit(
        X, y, hidden=40, lr=0.1, batch_size=10, epochs=100, validation=0.3, patience=4, backend=backend,
        callbacks=[lambda result, model: seen.append(model.parameters.copy())],
    )  # fmt: skip
    losses = [result.validation_loss for result in history.epochs]
    best = int(np.argmin(losses)) + 1
    assert history.best_epoch == best
    assert len(losses) == best + 4 < 100
    assert history.final is history.epochs[best - 1]
    assert model.parameters.sha256() == seen[best - 1].sha256() != seen[-1].sha256()
    _, held = parted(120, 0.3, 0)
    rows = model.evaluate(X[held], y[held])
    assert (rows.loss, rows.accuracy) == pytest.approx(
        (history.final.validation_loss, history.final.validation_accuracy), rel=1e-6
    )


def test_rows_held_out_are_never_trained_on():
    X, y = learnable(2, 200, 30, 3)
    rows, held = parted(200, 0.25, 7)
    assert sorted([*rows, *held]) == list(range(200))
    assert len(held) == 50
    changed = X.copy()
    changed[held] = 255 - changed[held]
    wrong = y.copy()
    wrong[held] = (wrong[held] + 1) % 3
    options = {"epochs": 3, "seed": 7, "validation": 0.25, "hidden": 8}
    models = [fastmlp.fit(a, b, **options)[0] for a, b in ((X, y), (changed, wrong))]
    assert models[0].parameters.sha256() == models[1].parameters.sha256()
    with pytest.raises(ConfigError, match="validation must leave rows"):
        parted(1, 0.5, 0)


def test_class_weights():
    y = np.array([0, 0, 0, 1])
    assert weights_of(y, 2, "balanced", None).tolist() == pytest.approx([2 / 3] * 3 + [2])
    assert weights_of(y, 2, (1.0, 3.0), np.array([1, 2, 3, 4])).tolist() == [1, 2, 3, 12]
    assert weights_of(y, 2, None, None) is None
    with pytest.raises(ConfigError, match="a number for each of 2 classes"):
        weights_of(y, 2, (1.0,), None)
    X, labels = learnable(3, 300, 30, 3, noise=0.8)
    rare = (labels != 2) | (np.arange(300) % 12 == 0)
    X, labels = X[rare], labels[rare]
    options = {"hidden": None, "epochs": 30, "lr": 0.05}
    found = [
        (fastmlp.fit(X, labels, class_weight=w, **options)[0].predict(X) == 2).sum()
        for w in (None, "balanced", (1, 1, 0))
    ]
    assert found[1] > found[0] >= found[2] == 0


def test_sample_weights_of_fit_reach_the_net():
    X, y = learnable(4, 100, 30, 3)
    keep = np.arange(100) % 3 > 0
    poisoned = np.where(keep, y, (y + 1) % 3)
    options = {"hidden": 9, "epochs": 5, "lr": 0.1, "batch_size": 100}
    masked, _ = fastmlp.fit(X, poisoned, sample_weight=keep.astype(float), **options)
    clean, _ = fastmlp.fit(X, y, sample_weight=keep.astype(float), **options)
    assert masked.parameters.sha256() == clean.parameters.sha256()
    with pytest.raises(DataError, match="sample_weight must be 100 numbers"):
        fastmlp.fit(X, y, sample_weight=np.ones(99), **options)
    with pytest.raises(DataError, match="sample_weight must be 100 numbers"):
        fastmlp.fit(X, y, sample_weight=np.ones(99), class_weight="balanced", **options)


def test_fit_many_takes_optimizers():
    X, y = learnable(5, 200, 30, 3)
    training = Training(hidden=(9,), optimizer="adam", lr=0.003, epochs=3, validation=0.2, patience=1)
    (fitted,) = fastmlp.fit_many(X, y, [training])
    alone, history = fastmlp.fit(
        X, y, hidden=9, optimizer="adam", lr=0.003, epochs=3, validation=0.2, patience=1
    )
    assert fitted.model.parameters.sha256() == alone.parameters.sha256()
    assert fitted.history.best_epoch == history.best_epoch


def test_diagnose_watches_the_steps_of_any_optimizer():
    """Curvature bounds none of them but plain SGD's: their lr is held against the usual one."""
    X, y = learnable(6, 300, 20, 3)
    words = {"hidden": 8, "scale": 255, "epochs": 3, "seconds": 60.0}
    asked = {"test_data": (X, y), "optimizer": "adam", "lr": 0.3}
    found = fastmlp.diagnose(X, y, validation=0.2, patience=1, **asked, **words)
    assert found.training.patience == 1
    assert "lr-unusual" in {finding.code for finding in found.findings}
    assert {"lr": 0.001} in [trial.changes for trial in found.trials]
    _, history = fastmlp.fit(X, y, hidden=8, scale=255, epochs=3, **asked)
    assert found.trajectory[-1].test_accuracy == history.final.test_accuracy
    fine = fastmlp.diagnose(X, y, **asked | {"lr": 0.002}, **words)
    assert not {finding.code for finding in fine.findings} & {"lr-unusual", "lr-too-low", "lr-too-high"}
    for other in ({"schedule": "cosine"}, {"class_weight": "balanced"}):
        with pytest.raises(ConfigError, match="a diagnosis must be of a constant rate"):
            fastmlp.diagnose(X, y, **other)


def test_command_line(tmp_path, monkeypatch):
    import json

    monkeypatch.chdir(tmp_path)
    data = save_blobs(tmp_path)
    common = ("train", "--data", data, "--hidden", "8", "--epochs", "30", "--out")
    result = run(
        *common, "adam", "--optimizer", "adam", "--lr", "0.01", "--validation", "0.2", "--patience", "2",
        "--class-weight", "1,2,1", "--weight-decay", "0.001", "--schedule", "cosine", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    epochs = report["epochs"]
    best = int(np.argmin([epoch["validation_loss"] for epoch in epochs])) + 1
    assert report["best_epoch"] == best
    assert report["test_accuracy"] == epochs[best - 1]["test_accuracy"]
    assert report["weights_sha256"] == fastmlp.Model.load("adam/model.safetensors").parameters.sha256()
    assert report["config"]["class_weight"] == [1, 2, 1]
    assert "held out" in result.stderr
    evaluated = run("evaluate", "adam", "--json")
    assert json.loads(evaluated.stdout)["test_accuracy"] == pytest.approx(report["test_accuracy"])
    np.save("none.npy", np.repeat([1.0, 0.0], 150))
    np.save("short.npy", np.ones(299))
    weighted = run(*common, "weighted", "--sample-weight", "none.npy", "--json")
    config = json.loads((tmp_path / "weighted" / "config.json").read_text())
    assert config["arguments"]["sample_weight"] == str(tmp_path / "none.npy")
    X, y = (np.load(data)[name] for name in ("x_train", "y_train"))
    model, _ = fastmlp.fit(X, y, hidden=8, epochs=30, sample_weight=np.load("none.npy"))
    assert json.loads(weighted.stdout)["weights_sha256"] == model.parameters.sha256()
    for wrong, what in (
        ("short.npy", "sample_weight must be 300 numbers, one for each row of X"),
        ("missing.npy", "missing.npy"),
    ):
        result = run(*common, "wrong", "--sample-weight", wrong)
        assert result.exit_code == 4
        assert what in " ".join(result.stderr.split())
        assert not (tmp_path / "wrong").exists()
    for wrong, what in (
        (("--momentum", "2"), "momentum must be"),
        (("--patience", "2"), "patience must come with"),
        (("--class-weight", "1,2"), "class_weight must hold a number for each of 3"),
        (("--class-weight", "1,x"), "class_weight must be"),
    ):
        result = run(*common, "wrong", *wrong)
        assert result.exit_code == 2
        assert what in " ".join(result.stderr.split())
    diagnosed = run("diagnose", "adam")
    assert diagnosed.exit_code == 2
    assert "a constant rate" in diagnosed.stderr
