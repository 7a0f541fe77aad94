"""Columns with scales of their own: each form of the rows, by bytes over threads, close to the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compare import check, check_named, digest
from nets import KINDS, values, weights

from fastmlp import Architecture, Net, Preprocessing, kernels, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data.encode import _compressed, _encoded, encode, look_at
from fastmlp.data.preprocessing import fitted
from fastmlp.words.layers import layers_of
from fastmlp.words.optimizers import PLAIN, Optimizer

N, K = 230, 4
WAYS = [ThreadTuner(2), ThreadTuner(3), ThreadTuner(2, "prange")]


def drawn(seed, kind, D, center, hidden=(20,)):
    """A net whose columns are scaled, and its rows: of unequal spreads, one constant."""
    rng = np.random.default_rng(seed)
    X = values(rng, kind, N, D)
    if X.dtype == np.float32:
        X *= (10.0 ** rng.uniform(-3, 3, D)).astype(np.float32)
    X[:, D // 2] = 7
    architecture = Architecture(D, layers_of(hidden, "tanh"), K)
    net = Net(architecture, weights(rng, architecture), fitted(X, "standard", center))
    return net, X, rng.integers(0, K, N)


def forms_of(X):
    """X in every form that the kernels read it in."""
    whole, counts, density = X.astype(np.float32), *look_at(X)
    forms = {
        "dense": _encoded(X.shape, "dense", counts, density, values=whole.reshape(-1)),
        "csr": _encoded(X.shape, "csr", counts, density, **_compressed(whole)),
    }
    if X.dtype == np.uint8:
        coded = encode(X)
        forms |= {"bytes": replace(coded, form="bytes"), "dense bytes": replace(coded, form="dense")}
    return forms


def outcome(net, X, y, threads, optimizer=PLAIN, nn=kernels):
    """All that two epochs leave behind, by name."""
    net = replace(net, parameters=net.parameters.copy())
    state, order = OptimizerState.start(net.parameters, optimizer), np.random.default_rng(1).permutation(N)
    options = {"threads": threads}
    step = nn.loss_and_gradients(net, X, y, **options)
    found = {f"gradient {name}": array for name, array in step.gradients.named()}
    found["outputs"] = nn.logits(net, X, **options)
    rule = {"lr": 0.01, "batch_size": 70, "optimizer": optimizer, "state": state}
    for _ in range(2):
        totals = nn.train_epoch(net, X, y, order, **rule, **options)
    found |= dict(net.parameters.named())
    tested = nn.evaluate(net, X, y, **options)
    found["loss"] = np.array([step.loss, totals.loss, tested.loss])
    return found


@pytest.mark.parametrize(
    ("D", "kind", "center"),
    [
        pytest.param(D, kind, center, marks=[pytest.mark.slow] * ((i + j + center) % 3 > 0))
        for i, D in enumerate((9, 70, 600))
        for j, kind in enumerate(KINDS[:4])
        for center in (True, False)
    ],
)
def test_every_form_gives_the_reference(D, kind, center):
    net, X, y = drawn(D, kind, D, center)
    rule = Optimizer("adam") if D == 70 else PLAIN
    plain = replace(net, preprocessing=Preprocessing())
    wide = replace(net, parameters=net.parameters.astype(np.float64))
    want = {
        "the reference in float32": outcome(net, X, y, 1, rule, reference),
        "the reference in float64": outcome(wide, X, y, 1, rule, reference),
        "a plain net on scaled rows": outcome(
            plain, net.preprocessing.applied(X).astype(np.float32), y, 1, rule
        ),
    }
    for form, rows in forms_of(X).items():
        assert rows.form == form.split()[0]
        one = outcome(net, rows, y, 1, rule)
        for way in WAYS:
            other = outcome(net, rows, y, way, rule)
            assert digest(*other.values()) == digest(*one.values()), (form, way.most, way.driver)
        for name, found in want.items():
            for label, array in found.items():
                what = {"g": "drawn gradient", "o": "drawn outputs", "l": "drawn loss"}
                adam = " of Adam" * (rule.name == "adam")
                if label == "W1" and adam:  # makes steps of the rounding that a constant column leaves
                    one[label][D // 2] = array[D // 2]
                check(
                    what.get(label[0], f"drawn weights{adam}"), one[label], array, f"{label}, {form}, {name}"
                )


def test_the_comparison_sees_a_wrong_scale():
    net, X, y = drawn(0, "uint8 sparse", 70, True)
    scale = net.preprocessing.scale.copy()
    scale[3] *= 1.01
    other = replace(net, preprocessing=Preprocessing(scale, net.preprocessing.mean))
    for rows in forms_of(X).values():
        one, two = (outcome(each, rows, y, 1) for each in (net, other))
        with pytest.raises(AssertionError):
            check("drawn outputs", one["outputs"], two["outputs"])
        with pytest.raises(AssertionError):
            check("drawn gradient", one["gradient W1"], two["gradient W1"])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("D", [5, 600])
def test_a_row_has_the_bytes_that_it_has_among_others(D, kind, center):
    net, X, _ = drawn(D, kind, D, center)
    whole = kernels.predict_proba(net, X, threads=2)
    for i in range(0, N, 40):
        assert kernels.predict_proba(net, X[i : i + 1]).tobytes() == whole[i].tobytes()
    few = kernels.predict_proba(net, X[:3].astype(np.float64))
    assert few.tobytes() == whole[:3].tobytes()


def test_what_is_left_of_large_offsets():
    """A column that float32 holds is centred without a further loss, however far off it lies."""
    rng = np.random.default_rng(0)
    X = (rng.integers(-8, 8, (N, 6)) + np.array([0, 1e3, 1e6, 2e6, 4e6, 8e6])).astype(np.float32)
    architecture = Architecture(6, layers_of((5,)), K)
    net = Net(architecture, weights(rng, architecture), fitted(X, "standard", True))
    want = reference.logits(replace(net, parameters=net.parameters.astype(np.float64)), X)
    check("outputs", kernels.logits(net, X), want)


def test_a_large_table_may_be_read_only():
    net, X, y = drawn(3, "float32 dense", 9, True)
    mean = net.preprocessing.mean.copy()
    mean.setflags(write=False)
    scale = net.preprocessing.scale.copy()
    scale.setflags(write=False)
    other = replace(net, preprocessing=Preprocessing(scale, mean))
    for rows in (X, X[:1]):
        assert np.array_equal(kernels.predict_proba(other, rows), kernels.predict_proba(net, rows))
    check_named("gradient", kernels.loss_and_gradients(other, X, y).gradients,
                kernels.loss_and_gradients(net, X, y).gradients)  # fmt: skip
