"""Losses: their table and their words; the reference by central differences, by hand, and by others."""

from __future__ import annotations

import math

import loss_cases
import numpy as np
import pytest
from compare import check, error
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import net_of
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.neural_network._base import LOSS_FUNCTIONS

import fastmlp
from fastmlp import ConfigError, DataError, Evaluation, Parameters, diagnose, reference
from fastmlp.train.loop import weights_of
from fastmlp.words.losses import LOSSES, Loss, checked_loss, clip_bounds, form_of

TEXTS = (
    "logits", "keras2", "clip:0.2,0.6", "binary", "binary:0.3,0.7", "squared", "half_squared", "absolute",
    "huber", "huber:0.3", "poisson", "log_loss", "binary_log_loss", "half_deviance",
)  # fmt: skip


def forms_of(loss):
    """The forms that targets of a loss have."""
    return {"classes": ("indices", "shares"), "binary": ("labels", "between")}.get(loss.task, ("numbers",))


def targets(rng, form, B, K):
    """Targets (B,) or (B, K) of that form."""
    if form == "indices":
        return rng.integers(0, K, B)
    y = rng.random((B, K))
    return {"labels": np.round(y), "numbers": 3 * y}.get(form, y)


EACH = [
    pytest.param(text, s, form, K, id=f"{text} {s} {form} {K}")
    for text in TEXTS
    for s in (0.0, 0.2)[: 1 + (Loss.of(text).task != "numbers")]
    for form in forms_of(Loss.of(text))
    for K in (1, 3)
    if Loss.of(text).word.outputs <= K
]


# --- words --------------------------------------------------------------------------------------


def test_every_loss_is_in_every_table():
    assert {Loss.of(text).name for text in TEXTS} == set(LOSSES) == set(reference.LOSSES)
    assert {word.link for word in LOSSES.values()} == set(reference.LINKS)
    assert {word.task for word in LOSSES.values()} == {"classes", "binary", "numbers"}


@pytest.mark.parametrize(
    ("text", "numbers", "clip"),
    [
        ("logits", (), None),
        ("keras2", (1e-7, 1 - 1e-7), (1e-7, 1 - 1e-7)),
        ("clip:1e-10,0.999999", (1e-10, 0.999999), (1e-10, 0.999999)),
        ("binary", (), None),
        ("binary:1e-7,0.9999999", (1e-7, 0.9999999), (1e-7, 0.9999999)),
        ("huber", (1.0,), None),
        ("huber:0.5", (0.5,), None),
        ("log_loss:1e-7", (1e-7,), None),
    ],
)
def test_texts_are_parsed(text, numbers, clip):
    loss = Loss.of(text, 0.0)
    assert (loss.name, loss.numbers, loss.clip) == (text.partition(":")[0], numbers, clip)
    assert clip_bounds(text) == clip
    assert checked_loss(text, loss.task) == text


@pytest.mark.parametrize(
    "text",
    ["", "Logits", "logits:", "logits:1", "clip", "clip:1", "clip:0.9,0.1", "clip:0,1", "binary:",
     "binary:0.1", "binary:0.2,1.1", "huber:", "huber:0", "huber:-1", "huber:nan", "huber:inf", "huber:1,2",
     "squared:1", "log_loss:1", "log_loss:0", "mse", 3, None, ["logits"]],
)  # fmt: skip
def test_other_texts_are_refused_in_words(text):
    with pytest.raises(
        ConfigError, match=r"loss must be logits, keras2, clip:LO,HI, binary.*DELTA over 0; got"
    ):
        Loss.of(text)


def test_a_task_may_be_asked_for():
    with pytest.raises(ConfigError, match=r"must be squared, .*huber\[:DELTA\], .*; got 'binary'"):
        checked_loss("binary", "numbers")
    assert form_of("binary") == "binary[:LO,HI]"


def test_smoothing_is_of_labels_alone():
    assert Loss.of("binary", 0.25).label_smoothing == 0.25
    with pytest.raises(ConfigError, match="label_smoothing must be 0 with huber loss"):
        Loss.of("huber", 0.1)
    for bad in (-0.1, 1, math.nan, "0.1"):
        with pytest.raises(ConfigError, match="label_smoothing must be a number from 0 to below 1"):
            Loss.of("logits", bad)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.sampled_from(["clip:", "binary:", "huber:"]), st.text("0.19e-,n", max_size=20))
def test_numbers_of_a_loss_are_good_or_refused(name, numbers):
    try:
        loss = Loss.of(name + numbers)
    except ConfigError:
        return
    assert all(number > 0 for number in loss.numbers)
    assert loss.clip is None or loss.clip[0] < loss.clip[1] <= 1


def test_a_diagnosis_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"loss must be logits, .*clip:LO,HI, log_loss.*; got 'squared'"):
        diagnose(np.ones((20, 2)), np.arange(20) % 2, loss="squared")


# --- values and gradients -----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "s", "form", "K"), EACH)
def test_deltas_are_central_differences(text, s, form, K):
    rng, loss, B = np.random.default_rng(K), Loss.of(text, s), 7
    z, y = rng.normal(size=(B, K)), targets(rng, form, B, K)
    delta = np.empty_like(z)
    reference.loss_and_delta(delta, z, y, loss)
    slopes = np.zeros_like(z)
    for steps, weight in ((1, 2 / 3), (-1, -2 / 3), (2, -1 / 12), (-2, 1 / 12)):
        for k in range(K):
            moved = z.copy()
            moved[:, k] += steps * 1e-4
            slopes[:, k] += weight * reference.loss_and_delta(np.empty_like(z), moved, y, loss)[0] / 1e-4
    check("central differences", slopes, delta, str(loss))


@pytest.mark.parametrize(("text", "s", "form", "K"), EACH)
def test_gradients_of_a_weighted_net_are_central_differences(text, s, form, K):
    rng, B = np.random.default_rng(K + 10), 9
    net = net_of(
        Parameters(
            tuple(rng.normal(size=shape) for shape in ((4, 3), (3, K))), (rng.normal(size=3), np.zeros(K))
        ),
        "tanh",
    )
    X, y, w = rng.normal(size=(B, 4)), targets(rng, form, B, K), rng.random(B) * (rng.random(B) < 0.8)
    options = {"loss": text, "label_smoothing": s, "sample_weight": w}
    found = reference.loss_and_gradients(net, X, y, **options)
    each = [reference.evaluate(net, X, y, loss=text, label_smoothing=s, rows=[i]).loss for i in range(B)]
    check("float64 naive", found.loss, np.average(each, weights=w))
    for (name, array), (_, gradient) in zip(net.parameters.named(), found.gradients.named(), strict=True):
        flat, slopes = array.reshape(-1), np.zeros(array.size)
        for i in range(array.size):
            value = flat[i]
            for steps, weight in ((1, 2 / 3), (-1, -2 / 3), (2, -1 / 12), (-2, 1 / 12)):
                flat[i] = value + steps * 1e-4
                slopes[i] += weight * reference.loss_and_gradients(net, X, y, **options).loss / 1e-4
            flat[i] = value
        check("central differences", slopes, gradient.reshape(-1), f"{name} {text}")


def of(text, z, y, s=0.0):
    """Loss, delta, right and live of one row of outputs."""
    z, y = np.array([z], np.float64), np.array([y])
    delta = np.empty_like(z)
    losses, correct, live = reference.loss_and_delta(delta, z, y, Loss.of(text, s))
    return losses[0], delta[0].tolist(), correct, live


def test_by_hand():
    half = math.log(2)
    assert of("logits", [0.0, 0.0], 1) == (pytest.approx(half), [0.5, -0.5], 0, 1)
    assert of("logits", [0.0, 0.0], [0.25, 0.75]) == (pytest.approx(half), [0.25, -0.25], 0, 1)
    assert of("logits", [0.0, 0.0], [0.5, 1.5]) == (pytest.approx(2 * half), [0.5, -0.5], 0, 1)
    assert of("logits", [0.0, 0.0], 0, 0.5) == (pytest.approx(half), [-0.25, 0.25], 1, 1)
    assert of("clip:0.6,0.9", [0.0, 0.0], [0.5, 0.5]) == (pytest.approx(-math.log(0.6)), [0, 0], 1, 0)
    assert of("binary", [0.0], [1.0]) == (pytest.approx(half), [-0.5], 0, 1)
    assert of("binary", [0.0, 0.0], [1.0, 0.0]) == (pytest.approx(half), [-0.25, 0.25], 1, 2)
    assert of("binary", [0.0], [1.0], 0.5) == (pytest.approx(half), [-0.25], 0, 1)
    assert of("binary:0.6,0.9", [0.0], [0.0]) == (pytest.approx(-math.log(0.4)), [0.0], 1, 0)
    assert of("binary:0.6,0.9", [math.log(4)], [1.0]) == (
        pytest.approx(-math.log(0.8)), [pytest.approx(-0.2)], 1, 1
    )  # fmt: skip
    assert of("squared", [3.0, 1.0], [1.0, 2.0]) == (2.5, [2.0, -1.0], 0, 1)
    assert of("half_squared", [3.0, 1.0], [1.0, 2.0]) == (2.5, [2.0, -1.0], 0, 1)
    assert of("half_squared", [3.0], [1.0]) == (2.0, [2.0], 0, 1)
    assert of("absolute", [3.0, 1.0, 0.0], [1.0, 1.0, 1.0]) == (1.0, [1 / 3, 0.0, -1 / 3], 0, 1)
    assert of("huber", [3.0, 1.5], [0.0, 1.0]) == (pytest.approx((2.5 + 0.125) / 2), [0.5, 0.25], 0, 1)
    assert of("huber:2", [3.0], [0.0]) == (4.0, [2.0], 0, 1)
    assert of("poisson", [0.0], [3.0]) == (1.0, [-2.0], 0, 1)
    assert of("poisson", [math.log(3)], [3.0])[1] == [pytest.approx(0, abs=1e-15)]


@pytest.mark.parametrize("size", [1e4, 1e38])
def test_extreme_outputs_have_finite_losses(size):
    for dtype in (np.float32, np.float64):
        for text, y, loss in (
            ("logits", 1, 2 * size), ("logits", [0.5, 0.5], size), ("keras2", 1, -math.log(1e-7)),
            ("binary", [0.0, 1.0], size), ("binary", [1.0, 0.0], 0), ("binary", [0.5, 0.5], size / 2),
            ("absolute", [0.0, 0.0], size), ("huber", [0.0, 0.0], size - 0.5),
        ):  # fmt: skip
            z, y = np.array([[size, -size]], dtype), np.array([y])
            delta = np.empty_like(z)
            y = y if y.ndim == 1 else y.astype(dtype)
            found = reference.loss_and_delta(delta, z, y, Loss.of(text))[0]
            assert found[0] == pytest.approx(loss, rel=1e-6), (text, dtype)
            assert np.isfinite(delta).all()


# --- beside others ------------------------------------------------------------------------------


def held(name, found):
    """Our loss and gradient are those, in float64."""
    case = loss_cases.CASES[name.partition(" ")[2]]
    delta = np.empty_like(case.z)
    losses = reference.loss_and_delta(delta, case.z, case.y, Loss.of(case.loss, case.smoothing))[0]
    weights = np.ones(len(losses)) if case.weights is None else case.weights
    check("torch float64", np.average(losses, weights=weights), found["loss"], name)
    check("torch float64", delta * (weights / weights.sum())[:, None], found["gradient"], name)


@pytest.mark.parametrize("name", loss_cases.told())
def test_losses_are_those_of_pytorch_and_keras(name):
    held(name, loss_cases.told()[name])


@pytest.mark.slow
def test_fixtures_are_what_pytorch_and_keras_say_now():
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    made, told = loss_cases.made(), loss_cases.told()
    assert made.keys() == told.keys()
    for name, found in made.items():
        held(name, found)
        assert error(found["loss"], told[name]["loss"]) < 1e-12


def test_every_loss_is_held_by_another_library():
    named = {name.partition(" ")[2] for name in loss_cases.told()}
    assert {Loss.of(loss_cases.CASES[name].loss).name for name in named} >= set(LOSSES) - {
        "half_squared",
        "clip",
        *OF_SKLEARN,
    }


OF_SKLEARN = {"log_loss": "log_loss", "binary_log_loss": "binary_log_loss", "half_deviance": "poisson"}


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("name", OF_SKLEARN)
def test_losses_are_those_of_sklearn(name, K, size):
    """Also where a logarithm is cut off; slopes are not."""
    rng, loss, K = np.random.default_rng(K), Loss.of(name), max(K, LOSSES[name].outputs)
    for dtype in (np.float32, np.float64):
        z = (size * rng.normal(size=(40, K))).astype(dtype)
        y, p, delta = np.eye(K)[rng.integers(0, K, 40)], np.empty_like(z), np.empty_like(z)
        if name != "log_loss":
            z = np.minimum(z, 20) if name == "half_deviance" else z
            y = rng.poisson(2, (40, K)) * 1.0 if name == "half_deviance" else rng.random((40, K)).round()
        reference.LINKS[loss.word.link](p, z)
        weights = rng.random(40)
        want = LOSS_FUNCTIONS[OF_SKLEARN[name]](y, p, weights)
        given = y.argmax(axis=1) if name == "log_loss" else y.astype(dtype)
        each, _, live = reference.loss_and_delta(delta, z, given, loss)
        digits = (1e-13 if dtype == np.float64 else 2e-6) if size == 1 else 1e-3  # its 1 - p has few
        assert np.average(each, weights=weights) == pytest.approx(want, rel=digits)
        np.testing.assert_allclose(delta, p - y.astype(dtype), atol=1e-5 if dtype == np.float32 else 1e-12)
        assert live == (y.size if name == "binary_log_loss" else 40)
        if size > 1 and loss.word.capped:
            assert each.max() >= loss.most(np.finfo(dtype).eps) * 0.999


@pytest.mark.parametrize("name", OF_SKLEARN)
def test_a_model_is_trained_by_those_of_sklearn(tmp_path, name):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(90, 3)).astype(np.float32)
    targets = {
        "log_loss": [(X[:, 0] > 0) * 1, (X[:, 0] > 0) * 1 + (X[:, 1] > 0)],
        "binary_log_loss": [(X[:, 0] > 0) * 1, (X > 0) * 1],
        "half_deviance": [rng.poisson(np.exp(X[:, 0])), np.abs(X)],
    }[name]
    for y in targets:
        both = [
            fastmlp.fit(X, y, loss=name, epochs=2, hidden=5, backend=nn, test_data=(X, y))[0]
            for nn in ("numba", "numpy")
        ]
        p, q = (net.predict(X) if name == "half_deviance" else net.predict_proba(X) for net in both)
        np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6)
        both[0].save(tmp_path / "m")
        again = fastmlp.Model.load(tmp_path / "m")
        assert np.array_equal(again.predict(X), both[0].predict(X))
        assert again.training.loss == name


def test_only_those_of_sklearn_are_capped():
    capped = {name for name in LOSSES if Loss(name).most(1e-7) < math.inf}
    assert capped == {"log_loss", "binary_log_loss"}
    assert Loss.of("log_loss").most(1e-7) == Loss.of("log_loss:1e-7").most(0.5) == -math.log(1e-7)
    z, delta = np.full((1, 2), np.nan), np.empty((1, 2))
    for name in capped:  # what is not a number is seen
        y = np.zeros(1, int) if name == "log_loss" else np.zeros((1, 2))
        assert np.isnan(reference.loss_and_delta(delta, z, y, Loss.of(name))[0]).all()


# --- targets ------------------------------------------------------------------------------------


def net(K):
    rng = np.random.default_rng(1)
    return net_of(Parameters((rng.normal(size=(3, K)).astype(np.float32),), (np.zeros(K, np.float32),)))


X = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
ONES = np.ones((5, 2))


@pytest.mark.parametrize(
    ("loss", "K", "y", "message"),
    [
        ("poisson", 2, -ONES, "y must be finite numbers from 0 with poisson loss; got -1"),
        ("squared", 2, ONES * np.nan, "y must be finite numbers with squared loss; got nan"),
        ("squared", 2, ONES * np.inf, "y must be finite numbers with squared loss; got inf"),
        ("squared", 2, ONES * 1e300, "y must be finite numbers with squared loss; got inf"),
        (
            "huber",
            2,
            np.ones(5),
            r"y must be \(5, 2\) numbers, for each row of X one for each output, with hu",
        ),
        ("huber", 1, ONES, "y must be 5 numbers, for each row of X one for each output, with huber loss"),
        ("binary", 2, 2 * ONES, "y must be labels of 0 or 1, or numbers between, with binary loss; got 2"),
        ("binary", 1, np.array([0, 1, 2, 1, 0]), "y must be labels of 0 or 1, or numbers between, .* got 2"),
        ("binary", 2, np.zeros(5, int), r"y must be \(5, 2\) numbers"),
        ("logits", 2, -ONES, "y must be shares of classes, from 0 to 1, with logits loss; got -1"),
        ("logits", 2, ONES * np.nan, "y must be shares of classes, from 0 to 1, .*; got nan"),
        ("logits", 3, ONES, r"y must be \(5, 3\) numbers, for .* \(or 5 class indices\), with logits loss"),
        ("logits", 2, np.array([0, 1, 2, 1, 0]), "y must be class indices from 0 to 1; got 0 .. 2"),
        ("logits", 2, np.ones(5), "y must be 5 integers, one for each row of X"),
        ("squared", 1, np.array(["a"] * 5), "y must hold numbers"),
    ],
)
def test_targets_that_do_not_suit_the_loss_are_named(loss, K, y, message):
    for function in (reference.evaluate, reference.loss_and_gradients):
        with pytest.raises(DataError, match=message):
            function(net(K), X, y, loss=loss)


def test_softmax_of_one_output_is_sure():
    assert (reference.predict_proba(net(1), X) == 1).all()
    assert reference.evaluate(net(1), X, np.zeros(5, int)) == (0, 1, None, None)


def test_predictions_are_of_their_task():
    p = reference.predict_proba(net(2), X, loss="binary")
    assert np.allclose(p, 1 / (1 + np.exp(-reference.logits(net(2), X))))
    assert np.allclose(reference.predict(net(2), X, loss="poisson"), np.exp(reference.logits(net(2), X)))
    assert np.array_equal(reference.predict(net(2), X), reference.logits(net(2), X))
    with pytest.raises(ConfigError, match=r"loss must be logits, .*binary.*; got 'squared'"):
        reference.predict_proba(net(2), X, loss="squared")
    with pytest.raises(ConfigError, match=r"loss must be squared, .*; got 'logits'"):
        reference.predict(net(2), X, loss="logits")


# --- evaluations and weights --------------------------------------------------------------------


def test_an_evaluation_shows_what_it_has():
    assert repr(Evaluation(0.5, 0.75)) == "Evaluation(loss=0.5, accuracy=0.75)"
    assert repr(Evaluation(0.5, 0.0, 0.25, 2.0)) == "Evaluation(loss=0.5, r2=0.25, mean_absolute_error=2.0)"
    assert repr(Evaluation(0.5, 0.0, None, 2.0)) == "Evaluation(loss=0.5, mean_absolute_error=2.0)"


@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_r2_and_absolute_error_are_those_of_scikit_learn(loss):
    y = np.random.default_rng(3).random((5, 2))
    found, p = reference.evaluate(net(2), X, y, loss=loss), reference.predict(net(2), X, loss=loss)
    assert found.r2 == pytest.approx(r2_score(y, p))
    assert found.mean_absolute_error == pytest.approx(mean_absolute_error(y, p))
    assert found.accuracy == 0
    assert reference.evaluate(net(2), X, y, loss=loss, rows=[1]).r2 is None
    exact = reference.predict(net(2), X, loss=loss)
    assert reference.evaluate(net(2), X, exact, loss=loss).r2 == 1
    constant = np.column_stack([np.full(5, 0.5), y[:, 0]])
    assert reference.evaluate(net(2), X, constant, loss=loss).r2 == pytest.approx(r2_score(constant, p))


def test_accuracy_counts_labels_and_the_largest_share():
    z = reference.logits(net(2), X)
    labels = (z > 0).astype(int)
    labels[0] = 1 - labels[0]
    found = reference.evaluate(net(2), X, labels, loss="binary")
    assert found.accuracy == 0.8
    assert (found.r2, found.mean_absolute_error) == (None, None)
    totals = reference.train_epoch(net(2), X, labels, np.arange(5), loss="binary", lr=1e-9)
    assert (totals.correct, totals.live, totals.labels, totals.accuracy, totals.live_share) == (
        8,
        10,
        2,
        0.8,
        1,
    )
    shares = np.where(z == z.max(axis=1, keepdims=True), 0.6, 0.4)
    shares[1] = shares[1, ::-1]
    assert reference.evaluate(net(2), X, shares).accuracy == 0.8


def test_class_weights_are_rows_weights():
    labels = np.array([[0], [1], [1], [1]])
    assert weights_of(labels, 1, (2.0, 3.0), None, "binary").tolist() == [2, 3, 3, 3]
    assert weights_of(labels[:, 0], 1, "balanced", None, "binary").tolist() == pytest.approx(
        [2] + [2 / 3] * 3
    )
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert weights_of(shares, 2, (2.0, 3.0), np.array([1, 10])).tolist() == [2, 30]
    for loss, what in (("binary", "rows of 2 labels"), ("squared", "numbers")):
        with pytest.raises(ConfigError, match=f"class_weight must be None for {what}.*sample_weight"):
            weights_of(shares, 2, "balanced", None, loss)


@pytest.mark.parametrize(("text", "s", "form", "K"), EACH)
def test_every_word_changes_the_training(text, s, form, K):
    """Also its smoothing, and weights."""
    rng = np.random.default_rng(5)
    inputs, y = rng.normal(size=(40, 3)), targets(rng, form, 40, K)
    others = [other for other in TEXTS if Loss.of(other).task == Loss.of(text).task and other != text]

    def trained(loss, smoothing, **options):
        start = net_of(Parameters((rng0.normal(size=(3, K)),), (np.zeros(K),)))
        reference.train_epoch(
            start, inputs, y, np.arange(40), loss=loss, label_smoothing=smoothing, lr=0.01, batch_size=10,
            **options,
        )  # fmt: skip
        return start.parameters.sha256()

    seen = []
    for loss, smoothing, weights in (
        (text, s, None), *((other, s, None) for other in others), (text, s, rng.random(40)),
        *([(text, 0.3, None)] if Loss.of(text).task != "numbers" else []),
    ):  # fmt: skip
        rng0 = np.random.default_rng(6)
        seen.append(trained(loss, smoothing, sample_weight=weights))
    same = [{"logits", "keras2", "log_loss"}]  # which differ far off alone
    if K == 1:
        same += [{"binary", "binary_log_loss"}, {"poisson", "half_deviance"}]
    assert all(
        one != seen[0]
        for one, other in zip(seen[1:], [*others, "", ""], strict=False)
        if not any({text, other} <= each for each in same)
    )
