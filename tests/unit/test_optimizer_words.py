"""The words of optimizers: what each takes, what it makes of them, and that all of them count.

Optimizers against PyTorch and Keras: their numbers are kept (support/optimizer_cases.py). test_optimizers.py
has what all optimizers have in common, test_weight_words.py the words of layers.
"""

from __future__ import annotations

import math

import numpy as np
import optimizer_cases as cases
import pytest
from compare import check
from nets import call, learnable, values, weights

import fastmlp
from fastmlp import Architecture, ConfigError, ModelError, Optimizer, Training, kernels, reference
from fastmlp.backends.state import OptimizerState, rates
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import COMMON, FIELDS, OPTIMIZERS, USUAL, defaults

BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])
EVERY = [(name, form) for name in OPTIMIZERS for form in ("torch", "keras")]
OTHER = {
    "momentum": 0.5, "nesterov": True, "beta1": 0.5, "beta2": 0.5, "epsilon": 0.01, "weight_decay": 0.3,
    "alpha": 0.5, "rho": 0.5, "centred": True, "amsgrad": True, "initial_accumulator": 0.7,
    "decoupled": True, "clip_norm": 0.1, "clip_each": 0.1, "clip_value": 0.01, "form": "keras",
}  # fmt: skip
NEEDS = {
    "nesterov": {"momentum": 0.4},
    "decoupled": {"weight_decay": 0.3},
}  # beside which a word has a meaning


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (
            {"name": "lbfgs"},
            "optimizer must be one of sgd, rmsprop, adam, adamw, nadam, adamax, adagrad, ada",
        ),
        ({"momentum": 1.0}, "momentum must be a number from 0 to below 1"),
        ({"momentum": True}, "momentum must be a number"),
        ({"name": "adam", "momentum": 0.9}, "momentum must come with sgd"),
        ({"nesterov": True}, "nesterov must come with a momentum"),
        ({"epsilon": 0}, "epsilon must be a finite number over 0"),
        ({"weight_decay": -1}, "weight_decay must be 0 or a finite number over 0"),
        ({"alpha": math.inf}, "alpha must be 0 or"),
        ({"beta2": 1}, "beta2 must be"),
        ({"name": "rmsprop", "rho": 1}, "rho must be a number from 0 to below 1"),
        ({"name": "rmsprop", "centred": 2}, "centred must be True or False"),
        ({"name": "adam", "amsgrad": "yes"}, "amsgrad must be True or False"),
        ({"name": "adagrad", "initial_accumulator": -1}, "initial_accumulator must be 0 or"),
        ({"weight_decay": 0.1, "decoupled": 3}, "decoupled must be True or False"),
        ({"clip_norm": -1}, "clip_norm must be 0 or"),
        ({"clip_each": math.nan}, "clip_each must be 0 or"),
        ({"clip_value": "1"}, "clip_value must be 0 or"),
        ({"form": "jax"}, "form must be one of torch, keras"),
        ({"beta1": 0.8}, "beta1 must come with adam, adamw, nadam or adamax; got sgd with beta1 0.8"),
        ({"name": "adam", "rho": 0.5}, "rho must come with rmsprop or adadelta"),
        ({"name": "rmsprop", "momentum": 0.5, "nesterov": True}, "nesterov must come with sgd"),
        ({"name": "nadam", "amsgrad": True}, "amsgrad must come with adam or adamw; got nadam"),
        ({"name": "adam", "centred": True}, "centred must come with rmsprop"),
        ({"initial_accumulator": 0.1}, "initial_accumulator must come with adagrad"),
        ({"name": "adam", "decoupled": True}, "decoupled must come with a weight_decay"),
        ({"clip_norm": 1, "clip_value": 2}, "only one of clip_norm, clip_each or clip_value must be given"),
    ],
)
def test_optimizer_is_checked(fields, what):
    with pytest.raises(ConfigError, match=what):
        Optimizer(**fields)


@BOTH
@pytest.mark.parametrize("name", cases.TORCH)
def test_steps_are_pytorchs(nn, name):
    got = np.concatenate([array.ravel() for array in cases.ours(nn, cases.TORCH[name])])
    check("optimizer steps", got, np.load(cases.FILE)[f"torch {name}"])


@BOTH
@pytest.mark.parametrize("name", cases.KERAS)
def test_steps_are_keras(nn, name):
    got = np.concatenate([array.ravel() for array in cases.ours(nn, cases.KERAS[name])])
    check("optimizer steps", got, np.load(cases.FILE)[f"keras {name}"])


def test_another_form_takes_other_steps():
    """The comparison with kept numbers is not blind."""
    kept = np.load(cases.FILE)
    for name in ("adam", "rmsprop", "nadam", "adagrad, begun", "adamax"):
        case = cases.KERAS[name]
        other = Optimizer(case.optimizer.name, form="torch", **case.optimizer.told())
        got = cases.ours(reference, cases.Case(other, case.lr, case.factor))
        with pytest.raises(AssertionError):
            check("optimizer steps", np.concatenate([a.ravel() for a in got]), kept[f"keras {name}"])


def test_every_word_is_one_that_some_optimizer_takes():
    own = {word for method in OPTIMIZERS.values() for word in method.words}
    assert own | set(COMMON) == set(FIELDS) == set(USUAL) == set(OTHER)


@pytest.mark.parametrize(("name", "form"), EVERY)
def test_a_word_is_its_optimizers_default_and_goes_through_json(name, form):
    rule, own = Optimizer(name, form=form), defaults(name, form)
    assert {word: getattr(rule, word) for word in FIELDS} == own
    assert Optimizer(name, form=form, **{word: own[word] for word in FIELDS if word != "form"}) == rule
    assert Optimizer(name).but(form=form) == rule == eval(repr(rule))
    taken = {word: OTHER[word] for word in (*OPTIMIZERS[name].words, "weight_decay", "clip_norm")}
    training = Training.of(optimizer=name, form=form, **taken)
    assert Training.from_json(training.to_json()) == training
    assert training.to_json().keys() >= taken.keys()
    assert not set(rule.strange_words) & set(Training(optimizer=rule).to_json())


def test_files_from_before_there_were_forms_are_read():
    once = {"optimizer": "sgd", "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-08}
    assert Training.from_json(once) == Training.of(momentum=0.9)
    assert Training.from_json({**once, "beta1": 0.5}) == Training.of(momentum=0.9)  # it was taken, and unused
    once = {"optimizer": "adam", "momentum": 0.0, "nesterov": False, "beta1": 0.9, "epsilon": 1e-07}
    assert Training.from_json({**once, "epsilon_hat": True}).optimizer == Optimizer("adam", form="keras")
    decayed = Training.from_json({**once, "epsilon_hat": True, "weight_decay": 0.1}).optimizer
    assert (decayed.form, decayed.decoupled, decayed.weight_decay) == ("keras", False, 0.1)
    with pytest.raises(ConfigError, match="beta1 must come with"):
        Training.of(beta1=0.5)


def problem(N=90, D=37, hidden=(13,), K=4):
    rng = np.random.default_rng(0)
    X = values(rng, "uint8 sparse", N, D)
    options = {"act": "tanh", "scale": 255.0}
    return weights(rng, Architecture(D, layers_of(hidden, "tanh"), K)), X, rng.integers(0, K, N), options


def trained(nn, optimizer, *, lr=0.02, threads=1, driver="team", size=(90, 37), epochs=2, batch_size=32):
    """Parameters, state and last totals."""
    p, X, y, options = problem(*size)
    state = OptimizerState.start(p, optimizer)
    for _ in range(epochs):
        totals = call(
            nn.train_epoch, p, X, y, np.arange(len(y)), lr=lr, batch_size=batch_size, optimizer=optimizer,
            state=state, threads=threads, driver=driver, **options,
        )  # fmt: skip
    return p, state, totals


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_word_that_is_accepted_changes_the_training(nn, name):
    for word in FIELDS:
        if word not in OPTIMIZERS[name].words and word not in COMMON:
            continue
        beside, other = NEEDS.get(word, {}), OTHER[word]
        if (
            word == "form" and name == "sgd"
        ):  # without a change of rates, momentum of steps is that of gradients
            beside = {"weight_decay": 0.3}
        if isinstance(other, bool):
            other = not defaults(name)[word]
        one, two = (trained(nn, Optimizer(name, **beside, **more))[0] for more in ({}, {word: other}))
        assert one.sha256() != two.sha256(), f"{word} of {name}"


@BOTH
@pytest.mark.parametrize("words", [{}, {"name": "rmsprop", "rho": 0.95, "epsilon": 1e-30}], ids=str)
def test_momentum_in_keras_form_has_the_rates_of_its_time(nn, words):
    for lr, same in ((0.02, True), (np.array([0.01, 0.1, 0.02]), False)):
        rules = [Optimizer(**words, momentum=0.9, form=form) for form in ("torch", "keras")]
        a, b = (trained(nn, rule, lr=lr)[0] for rule in rules)
        assert all(np.allclose(x, y, rtol=1e-4, atol=1e-6) for x, y in zip(a, b, strict=True)) is same


RULES = [
    Optimizer(), Optimizer(momentum=0.9, nesterov=True, clip_each=0.1), Optimizer("rmsprop", clip_norm=0.2),
    Optimizer("rmsprop", centred=True, momentum=0.5, form="keras"), Optimizer("adamw", amsgrad=True),
    Optimizer("nadam", clip_value=0.01), Optimizer("adamax"), Optimizer("adagrad", form="keras"),
    Optimizer("adadelta", clip_norm=0.1, weight_decay=0.1),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_bytes_do_not_depend_on_threads_or_driver(rule):
    """Where two members keep to their halves of the inputs, too."""
    found = [
        trained(kernels, rule, threads=threads, driver=driver, size=(90, 530))
        for threads, driver in ((1, "team"), (2, "team"), (3, "team"), (2, "prange"))
    ]
    assert len({p.sha256() for p, _, _ in found}) == 1
    assert len({tuple(m.sha256() for m in state.moments) for _, state, _ in found}) == 1
    (ours, mine, totals), (theirs, state, wanted) = found[0], trained(reference, rule, size=(90, 530))
    for got, want in zip(ours, theirs, strict=True):
        check("trajectory weights", got, want)
    for average, moment in zip(mine.moments, state.moments, strict=True):
        for got, want in zip(average, moment, strict=True):
            check("drawn averages", got, want)
    check("trajectory loss", totals.loss, wanted.loss)


@BOTH
@pytest.mark.parametrize(
    "rule", [Optimizer(), Optimizer(momentum=0.9), Optimizer("adamw"), Optimizer("nadam")]
)
def test_a_rate_for_each_batch(nn, rule):
    """One number for all is the same bytes; each batch has its own; a rate of 0 moves nothing."""
    assert trained(nn, rule, lr=np.full(3, 0.02))[0].sha256() == trained(nn, rule, lr=0.02)[0].sha256()
    p, X, y, options = problem()
    together, apart, still = p.copy(), p.copy(), p.copy()
    states = [OptimizerState.start(p, rule) for _ in range(2)]
    rising = [0.01, 0.05, 0.02]
    common = {"batch_size": 30, "optimizer": rule, **options}
    call(nn.train_epoch, together, X, y, np.arange(90), lr=rising, state=states[0], **common)
    for i, lr in enumerate(rising):
        rows = np.arange(30 * i, 30 * i + 30)
        call(nn.train_epoch, apart, X, y, rows, lr=lr, state=states[1], **common)
    assert together.sha256() == apart.sha256()
    call(nn.train_epoch, still, X, y, np.arange(90), lr=np.zeros(3), **common)
    assert still.sha256() == p.sha256()


@BOTH
@pytest.mark.parametrize(
    ("lr", "what"),
    [
        ([0.1, 0.1], "lr must be a number, or one for each of 3 batches; got shape"),
        (np.ones((3, 1)), "lr must be a finite number over 0"),
        ([0.1, -0.1, 0.1], r"lr must be numbers from 0 to 1e\+30; got -0.1"),
        ([0.1, math.nan, 0.1], "lr must be numbers from 0"),
        (["a", "b", "c"], "lr must hold numbers"),
        (0, "lr must be a finite number over 0"),
    ],
)
def test_rates_are_checked(nn, lr, what):
    with pytest.raises(ConfigError, match=what):
        trained(nn, Optimizer(), lr=lr)


@BOTH
def test_clipping_is_what_it_says(nn):
    """By plain SGD, whose step is the gradient."""
    p, X, y, options = problem()
    common = {"batch_size": 90, "lr": 1.0, **options}

    def step(rule):
        q = p.copy()
        call(nn.train_epoch, q, X, y, np.arange(90), optimizer=rule, **common)
        return [a.astype(np.float64) - b for a, b in zip(p, q, strict=True)]

    free = step(Optimizer())
    norms = [np.linalg.norm(g) for g in free]
    whole, middle = np.linalg.norm(norms), sorted(norms)[1] * 1.01
    for rule, factors in (
        (Optimizer(clip_norm=whole / 3, form="keras"), [1 / 3] * 4),
        (Optimizer(clip_norm=whole / 3), [1 / 3 * whole / (whole + 1e-6)] * 4),
        (Optimizer(clip_each=middle, form="keras"), [min(1, middle / norm) for norm in norms]),
        (Optimizer(clip_norm=1e6), [1] * 4),
        (Optimizer(clip_each=1e6), [1] * 4),
        (Optimizer(clip_value=1e6), [1] * 4),
    ):
        for got, g, factor in zip(step(rule), free, factors, strict=True):
            np.testing.assert_allclose(got, g * factor, atol=3e-7, err_msg=str(rule))
    for got, g in zip(step(Optimizer(clip_value=1e-3)), free, strict=True):
        np.testing.assert_allclose(got, np.clip(g, -1e-3, 1e-3), atol=3e-7)


@BOTH
def test_a_gradient_beyond_float32_is_not_clipped_away(nn):
    p, X, y, options = problem()
    p.weights[0][...] = 0
    p.weights[1][...] *= 1e30
    options = {**options, "act": "identity", "scale": 1e-8}  # the first layer's gradient is of 1e40
    for rule in (Optimizer(clip_norm=1), Optimizer("adam", clip_norm=1), Optimizer(clip_each=1)):
        with pytest.raises(fastmlp.DivergedError, match="weights must stay finite"):
            call(nn.train_epoch, p, X, y, np.arange(90), optimizer=rule, **options)


def test_rates_of_adam_undo_the_bias_of_its_averages():
    found = rates(Optimizer("adam"), 0.1, 3, 2)
    assert found[0] == pytest.approx([1, 0.1 / (1 - 0.9**4), math.sqrt(1 - 0.999**4), 1])
    assert found[1] == pytest.approx([1, 0.1 / (1 - 0.9**5), math.sqrt(1 - 0.999**5), 1])
    assert rates(Optimizer(momentum=0.9), 0.1, 3, 2).tolist() == [[1, 0.1, 1, 1], [1, 0.1, 1, 1]]


def test_rates_of_nadam_are_those_of_its_formula_from_any_step():
    for form, pace in (("torch", 0.004), ("keras", 1.0)):
        rule, products = Optimizer("nadam", form=form), [1.0]
        u = [0.9 * (1 - 0.96 ** (pace * t) / 2) for t in range(42)]
        for t in range(1, 42):
            products.append(products[-1] * u[t])
        found = rates(rule, 0.1, 5, 30)
        for t, row in zip(range(6, 36), found, strict=True):
            more, less = 0.1 * u[t + 1] / (1 - products[t + 1]), 0.1 * (1 - u[t]) / (1 - products[t])
            assert row == pytest.approx([1, more, math.sqrt(1 - 0.999**t), less])
        assert (rates(rule, 0.1, 17, 3) == found[12:15]).all()
        assert rates(rule, 0.1, 10**6, 1)[0] == pytest.approx([1, 0.09, 1, 0.01])


def test_a_state_of_another_optimizer_is_refused():
    p, X, y, options = problem()
    for mine, other, count in (
        (Optimizer("adam", amsgrad=True), Optimizer("adam"), 3),
        (Optimizer("rmsprop", centred=True, momentum=0.5), Optimizer("rmsprop"), 3),
        (Optimizer("adagrad"), Optimizer("adadelta"), 1),
    ):
        state = OptimizerState.start(p, other)
        with pytest.raises(ModelError, match=f"state must hold {count} moments"):
            call(kernels.train_epoch, p, X, y, np.arange(90), optimizer=mine, state=state, **options)
    start = OptimizerState.start(p, Optimizer("adagrad", initial_accumulator=0.5))
    assert all((array == 0.5).all() for array in start.moments[0])


@pytest.mark.parametrize(
    "words",
    [
        {"optimizer": "adam", "amsgrad": True, "clip_norm": 0.5},
        {"optimizer": "rmsprop", "centred": True, "momentum": 0.5, "max_norm": 1.0},
        {"optimizer": "nadam", "form": "keras", "weight_decay": 0.01},
        {"optimizer": "adagrad", "initial_accumulator": 0.2, "l1": 0.01},
    ],
    ids=lambda words: words["optimizer"],
)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_training_resumes_to_the_byte_with_its_averages(words, backend, tmp_path):
    X, y = learnable(2, 120, 30, 3)
    common = {"hidden": 8, "batch_size": 50, "backend": backend}
    whole, _ = fastmlp.fit(X, y, epochs=4, **common, **words)
    fastmlp.fit(X, y, epochs=2, checkpoint=tmp_path, **common, **words)
    resumed, history = fastmlp.fit(X, y, epochs=4, checkpoint=tmp_path, **common, **words)
    assert len(history.epochs) == 4
    assert resumed.parameters.sha256() == whole.parameters.sha256()
    with pytest.raises(ConfigError, match="optimizer 'adadelta' instead of"):
        fastmlp.fit(X, y, epochs=4, checkpoint=tmp_path, optimizer="adadelta", **common)
