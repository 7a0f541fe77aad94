"""The NumPy backend against what is not itself: a net worked by hand, a naive twin, central differences."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from compare import DROPPED, check, check_named, digest
from nets import ACTS, LOSSES, call, draw, learnable, net_of

from fastmlp import Architecture, DivergedError, Parameters, initialise, random, reference

# Central differences of fourth order, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h: with two points h = 1e-5
# leaves a rounding error of 1e-11 a slope, too much for gradients of 1e-5; with four h may be larger.
H = 2e-4
STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))
NETS = 320
PARTS = 16  # of them, of which one is not slow
ENTRIES = 40  # of a tensor at most: a random choice of the larger ones


# --- a net worked by hand -----------------------------------------------------------------------

HAND = Parameters(
    (np.array([[0.5, -1.0], [0.25, 2.0]]), np.array([[1.0, -1.0], [0.5, 2.0]])),
    (np.array([0.5, -0.5]), np.array([0.0, 1.0])),
)
HAND_X, HAND_Y = np.array([[1.0, 2.0], [2.0, 0.0]]), np.array([1, 0])
# z1     = [1, 2] W1 + b1 = [0.5 + 0.5 + 0.5, -1 + 4 - 0.5] = [1.5, 2.5]     a1 = [1.5, 2.5]
#          [2, 0] W1 + b1 = [1 + 0 + 0.5, -2 + 0 - 0.5]     = [1.5, -2.5]    a1 = [1.5, 0]
# logits = a1 W2 + b2: [1.5 + 1.25, -1.5 + 5 + 1] = [2.75, 4.5];  [1.5 + 0, -1.5 + 0 + 1] = [1.5, -0.5]
# p      = 1 / (1 + e^1.75) = 0.14804719803168948 and the rest;  1 / (1 + e^-2) = 0.8807970779778823
# loss   = (-ln 0.85195280196831 - ln 0.88079707797788) / 2 = (0.16022415 + 0.12692801) / 2
P0, Q0 = 0.14804719803168948, 0.8807970779778823
# delta  = (p - t) / 2: [P0, -P0] / 2 and [Q0 - 1, 1 - Q0] / 2; call u = P0 / 2, v = (Q0 - 1) / 2
U, V = P0 / 2, (Q0 - 1) / 2
# dW2    = a1^T delta = [[1.5 u + 1.5 v, -1.5 u - 1.5 v], [2.5 u, -2.5 u]],  db2 = [u + v, -u - v]
# delta1 = delta W2^T * (a1 > 0): row 0: [u (1 + 1), u (0.5 - 2)] = [2 u, -1.5 u];  row 1: [2 v, (dead) 0]
# dW1    = x^T delta1 = [[2 u + 4 v, -1.5 u], [4 u, -3 u]],  db1 = [2 u + 2 v, -1.5 u]


def test_reference_gives_the_numbers_worked_by_hand():
    a1, logits = reference.forward(net_of(HAND), HAND_X)
    check("float64 naive", a1, [[1.5, 2.5], [1.5, 0]])
    check("float64 naive", logits, [[2.75, 4.5], [1.5, -0.5]])
    check("float64 naive", reference.predict_proba(net_of(HAND), HAND_X), [[P0, 1 - P0], [Q0, 1 - Q0]])
    loss, gradients, correct, live = reference.loss_and_gradients(net_of(HAND), HAND_X, HAND_Y)
    check("float64 naive", loss, (-math.log(1 - P0) - math.log(Q0)) / 2)
    assert loss == pytest.approx((0.16022415 + 0.12692801) / 2, rel=1e-7)
    check("float64 naive", gradients.weights[1], [[1.5 * (U + V), -1.5 * (U + V)], [2.5 * U, -2.5 * U]])
    check("float64 naive", gradients.biases[1], [U + V, -U - V])
    check("float64 naive", gradients.weights[0], [[2 * U + 4 * V, -1.5 * U], [4 * U, -3 * U]])
    check("float64 naive", gradients.biases[0], [2 * (U + V), -1.5 * U])
    assert (correct, live) == (2, 2)


def test_reference_clip_cuts_by_hand():
    """p_true is 0.852 and 0.881: [0.86, 1] clips the first, [0.1, 0.86] the second, [0.9, 1] both."""
    for low, high, alive in ((0.86, 1.0, [1]), (0.1, 0.86, [0]), (0.9, 1.0, []), (0.1, 0.9, [0, 1])):
        loss, gradients, correct, live = reference.loss_and_gradients(
            net_of(HAND), HAND_X, HAND_Y, loss=f"clip:{low},{high}"
        )
        clipped = [min(max(p, low), high) for p in (1 - P0, Q0)]
        check("float64 naive", loss, -(math.log(clipped[0]) + math.log(clipped[1])) / 2)
        u, v = U * (0 in alive), V * (1 in alive)
        check("float64 naive", gradients.biases[1], [u + v, -u - v])
        check("float64 naive", gradients.weights[0], [[2 * u + 4 * v, -1.5 * u], [4 * u, -3 * u]])
        assert (correct, live) == (2, len(alive))


def test_reference_one_epoch_by_hand():
    """A batch of one, then a short one: each step is its own mean, W -= lr dW."""
    trained = HAND.copy()
    totals = reference.train_epoch(
        net_of(trained, scale=2.0), HAND_X, HAND_Y, np.array([1, 0, 1]), lr=0.5, batch_size=2
    )
    by_hand, losses = HAND.copy(), []
    for rows in ([1, 0], [1]):
        step = reference.loss_and_gradients(net_of(by_hand), HAND_X[rows] / 2, HAND_Y[rows])
        losses += [step.loss] * len(rows)
        for array, gradient in zip(by_hand, step.gradients, strict=True):
            array -= 0.5 * gradient
    check_named("float64 naive", trained, by_hand)
    check("float64 naive", totals.loss, np.mean(losses))
    assert totals.samples == 3


# --- a naive twin: Python floats and loops ------------------------------------------------------


def naive(parameters, x, y, act, loss):
    """Mean loss, correct and live, one number at a time."""
    f = {
        "relu": lambda z: max(z, 0.0),
        "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
        "tanh": math.tanh,
        "identity": lambda z: z,
        "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    }[act]
    total, correct, live = 0.0, 0, 0
    for row, label in zip(x.tolist(), y.tolist(), strict=True):
        a = row
        for layer, (W, b) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
            z = [sum(a[i] * W[i, j] for i in range(len(a))) + b[j] for j in range(len(b))]
            a = z if layer == len(parameters.weights) - 1 else [f(value) for value in z]
        top = max(a)
        log_sum = top + math.log(sum(math.exp(v - top) for v in a))
        correct += a.index(top) == label
        if loss == "logits":
            total += log_sum - a[label]
            live += 1
            continue
        bounds = "1e-7,0.9999999" if loss == "keras2" else loss.removeprefix("clip:")
        low, high = map(float, bounds.split(","))
        p = math.exp(a[label] - log_sum)
        total += -math.log(min(max(p, low), high))
        live += low <= p <= high
    return total / len(y), correct, live


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("act", ACTS)
def test_reference_equals_a_naive_twin(act, loss):
    for seed in range(6):
        case = draw(1000 + seed, most_inputs=12, most_units=9, most_samples=8)
        parameters = case.parameters.astype(np.float64)
        options = {"act": act, "loss": loss, "scale": case.scale, "mean": case.mean}
        mean, correct, live = naive(parameters, case.inputs(), case.y, act, loss)
        got = call(reference.loss_and_gradients, parameters, case.X, case.y, **options)
        check("float64 naive", got.loss, mean, str(case))
        assert (got.correct, got.live) == (correct, live), case
        evaluation = call(reference.evaluate, parameters, case.X, case.y, **options)
        check("float64 naive", evaluation.loss, mean, str(case))
        assert evaluation.accuracy == correct / len(case.y)


# --- central differences ------------------------------------------------------------------------


def pattern(parameters, case):
    """Which ReLU units are on and which samples the clip leaves alone: a step must not change it."""
    outputs = call(reference.forward, parameters, case.X, **case.options)
    on = [a > 0 for a in outputs[:-1]] if "relu" in case.act else []
    if case.loss != "logits":
        bounds = "1e-7,0.9999999" if case.loss == "keras2" else case.loss.removeprefix("clip:")
        low, high = map(float, bounds.split(","))
        p = np.exp(outputs[-1] - outputs[-1].max(axis=1, keepdims=True))
        p_true = (p / p.sum(axis=1, keepdims=True))[np.arange(len(p)), case.y]
        on += [p_true < low, p_true > high]
    return b"".join(np.packbits(part).tobytes() for part in on)


def loss_at(parameters, case):
    return call(reference.evaluate, parameters, case.X, case.y, loss=case.loss, **case.options).loss


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, PARTS))])
def test_reference_gradients_are_central_differences(part):
    kept = dropped = tensors = 0
    for seed in range(part, NETS, PARTS):
        wide = seed % 5 == 0
        case = draw(seed, most_inputs=129 if wide else 20, most_units=130 if wide else 12, most_samples=9)
        parameters = case.parameters.astype(np.float64)
        gradients = call(
            reference.loss_and_gradients, parameters, case.X, case.y, loss=case.loss, **case.options
        ).gradients
        here = pattern(parameters, case)
        rng = np.random.default_rng(seed)
        for (name, array), (_, gradient) in zip(parameters.named(), gradients.named(), strict=True):
            assert gradient.shape == array.shape
            assert gradient.dtype == np.float64
            flat, slopes, chosen = array.reshape(-1), [], []
            for i in rng.permutation(array.size)[:ENTRIES]:
                value, slope, same = flat[i], 0.0, True
                for steps, weight in STENCIL:
                    flat[i] = value + steps * H
                    same &= pattern(parameters, case) == here
                    slope += weight * loss_at(parameters, case) / H
                flat[i] = value
                if same:
                    chosen.append(i)
                    slopes.append(slope)
                else:
                    dropped += 1
            kept += len(chosen)
            size = np.linalg.norm(gradient)
            if size and chosen:  # the error of the chosen entries, in units of the whole tensor's norm
                tensors += 1
                some = gradient.reshape(-1)[chosen]
                rest = math.sqrt(max(0.0, size**2 - np.linalg.norm(some) ** 2))
                check("central differences", [*slopes, rest], [*some, rest], f"{name} {case}")
            elif chosen:
                assert not np.any(slopes), (name, str(case))
    DROPPED["differences kept"] += kept
    DROPPED["differences dropped"] += dropped
    assert kept > 20 * dropped
    assert kept > 1500
    assert tensors > 60


# --- determinism, names, signatures -------------------------------------------------------------


def test_reference_second_call_gives_the_same_bytes():
    X, y = learnable(1, 500, 200, 10)
    start = initialise(Architecture(200, (60, 30), 10))
    seen = set()
    for _ in range(3):
        p = start.copy()
        for epoch in range(2):
            order = random.permutation(500, 0, "order", epoch)
            reference.train_epoch(net_of(p, scale=255), X, y, order, batch_size=64)
        step = reference.loss_and_gradients(net_of(p, scale=255), X, y)
        seen.add(digest(*p, *step.gradients, step.loss, reference.predict_proba(net_of(p, scale=255), X)))
    assert len(seen) == 1


def public_functions(module):
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


BACKEND = (
    "forward",
    "loss_and_gradients",
    "train_epoch",
    "predict_proba",
    "evaluate",
    "dead_units",
    "Session",
)
ENCODERS = ("encode", "encode_rows")
BACKEND = (*BACKEND, *ENCODERS, "logits", "predict")


def signature(called):
    """That of a function, or of what makes an instance."""
    return inspect.signature(called.__init__ if inspect.isclass(called) else called)


def test_backends_have_the_same_functions_and_signatures():
    from fastmlp import kernels

    for name in BACKEND:
        ours, theirs = (signature(getattr(module, name)) for module in (reference, kernels))
        more = set(theirs.parameters) - set(ours.parameters)
        if name in ENCODERS:  # the kernels' may take hints, which none need give
            assert all(theirs.parameters[m].kind is inspect.Parameter.KEYWORD_ONLY for m in more)
            assert all(theirs.parameters[m].default is False for m in more)
            theirs = theirs.replace(parameters=[p for n, p in theirs.parameters.items() if n not in more])
        assert list(ours.parameters) == list(theirs.parameters), name
        for p, q in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
            assert (p.kind, p.default) == (q.kind, q.default), (name, p.name)
            if p.name != "X":
                assert p.annotation == q.annotation, (name, p.name)
        if name not in ENCODERS:
            assert ours.return_annotation == theirs.return_annotation, name
            assert getattr(reference, name).__doc__ == getattr(kernels, name).__doc__, name
    assert signature(reference.Session.train) == signature(kernels.Session.train)
    assert set(kernels.__all__) - {"is_warm", "at_once", "are_finite"} == set(BACKEND)
    assert set(BACKEND) - {"Session"} <= set(public_functions(reference))


def test_reference_keeps_the_parameters_number_type():
    X, y = learnable(2, 20, 9, 3)
    for dtype in (np.float32, np.float64):
        p = initialise(Architecture(9, (5,), 3), dtype=dtype)
        assert all(a.dtype == dtype for a in reference.forward(net_of(p, scale=255), X))
        assert all(
            g.dtype == dtype for g in reference.loss_and_gradients(net_of(p, scale=255), X, y).gradients
        )
        assert reference.predict_proba(net_of(p, scale=255), X).dtype == dtype
        reference.train_epoch(net_of(p, scale=255), X, y, np.arange(20))
        assert p.dtype == dtype


def test_reference_leaves_its_arguments_alone():
    X, y = learnable(3, 20, 9, 3)
    p, order, mean = initialise(Architecture(9, (5,), 3)), np.arange(20), np.full(9, 3, np.float32)
    before = digest(X, y, order, mean, *p)
    reference.loss_and_gradients(net_of(p, scale=255, mean=mean), X, y)
    reference.evaluate(net_of(p, scale=255, mean=mean), X, y)
    reference.predict_proba(net_of(p, scale=255, mean=mean), X)
    reference.dead_units(net_of(p, scale=255, mean=mean), X)
    assert digest(X, y, order, mean, *p) == before


def test_reference_diverged_epoch_changes_nothing():
    X, y = learnable(4, 200, 30, 4)
    p = initialise(Architecture(30, (8,), 4))
    before = p.sha256()
    with pytest.raises(DivergedError) as caught:
        reference.train_epoch(net_of(p), X, y, np.arange(200), lr=1e30, batch_size=10)
    assert p.sha256() == before
    assert caught.value.batch in (1, 2)
