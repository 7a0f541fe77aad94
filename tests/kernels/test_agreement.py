"""The kernels against the reference: every output and gradient by name, for random shapes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from both_backends import equal_in_every_part
from compare import DROPPED, check, check_named, digest
from nets import ACTS, CASES, call, draw, edge_free, net_of, values, weights

from fastmlp import Architecture, Layer, Net, Parameters, kernels, reference
from fastmlp.data import encode as encoding


@pytest.mark.parametrize(
    "part", [*range(6), *(pytest.param(n, marks=pytest.mark.slow) for n in range(6, 12))]
)
def test_kernels_equal_the_reference_on_random_shapes(part):
    seen = set()
    before = DROPPED.copy()
    for seed in range(part, CASES, 12):
        case = edge_free(draw(seed))
        if case is None:
            continue
        equal_in_every_part(case)
        p, options = case.parameters, case.options
        ours, theirs = (call(nn.predict_proba, p, case.X, **options) for nn in (kernels, reference))
        check("probabilities", ours, theirs, str(case))
        seen.add((case.act, case.loss, case.kind, len(case.architecture.hidden)))
    assert len(seen) >= 48  # of 50: an empty case is one whose every sample lies on an edge
    counted = {name: n - before[name] for name, n in DROPPED.items()}
    assert counted["samples kept"] > 1000
    assert counted["samples kept"] > 20 * counted["samples dropped"]
    assert counted["tensors of gradient"] > 20 * counted.get("tensors of cancelling gradient", 0)


def test_cases_cover_what_they_should():
    cases = [draw(seed) for seed in range(CASES)]
    for of in (
        lambda c: c.act,
        lambda c: c.loss,
        lambda c: c.kind,
        lambda c: len(c.architecture.hidden),
        lambda c: (c.act, c.loss, c.kind, len(c.architecture.hidden)),
    ):
        groups = Counter(map(of, cases))
        assert min(groups.values()) == max(groups.values()), groups
    assert len(groups) == 5 * 5 * 6 * 4
    assert {bool(encoding.encode(c.X).sparse) for c in cases} == {True, False}
    widths = {w for c in cases for w in c.architecture.hidden}
    assert {1, 7, 8, 9} <= widths
    assert max(widths) > 120
    assert max(c.architecture.inputs for c in cases) > 700
    assert {c.architecture.outputs for c in cases} == set(range(2, 21))
    assert {1} <= {len(c.X) for c in cases}
    assert max(len(c.X) for c in cases) > 250
    clipped = [
        call(reference.loss_and_gradients, c.parameters, c.X, c.y, loss=c.loss, **c.options).live / len(c.X)
        for c in cases
        if c.loss.startswith("clip:0")
    ]
    assert 0.2 < np.mean(clipped) < 0.95


@pytest.mark.parametrize("width", [1, 7, 8, 31, 63, 64, 65, 127, 128, 129, 130])
def test_kernels_equal_the_reference_at_the_edges_of_vectors(width):
    """Widths where the blocks of up to eight vectors change size, the 1 of the next bias included."""
    for depth, D, B in ((1, 130, 64), (2, 8, 65), (3, 9, 129)):
        case = draw(width * 4 + depth)
        rng = np.random.default_rng(width)
        architecture = Architecture(D, (width,) * depth, 10)
        case = type(case)(
            width, architecture, weights(rng, architecture), values(rng, "uint8 sparse", B, D),
            rng.integers(0, 10, B), "logits", 255.0, None, "uint8 sparse",
        )  # fmt: skip
        case = edge_free(case)
        if case is not None:
            equal_in_every_part(case)


@pytest.mark.parametrize("kind", ["uint8 sparse", "float32 sparse", "float32 dense"])
def test_kernels_equal_the_reference_beyond_65536_columns(kind):
    """Many words of bits, or compressed rows, and values in the last columns count."""
    rng = np.random.default_rng(5)
    architecture = Architecture(70_001, (9,), 3)
    X = values(rng, kind, 5, 70_001)
    X[:, -1] = 200 if X.dtype == np.uint8 else 3
    scale = 255.0 if X.dtype == np.uint8 else 1.0
    case = draw(1)
    case = type(case)(
        5, architecture, weights(rng, architecture), X, rng.integers(0, 3, 5), "logits", scale, None, kind
    )
    case = edge_free(case, margin=1e-6)
    got = equal_in_every_part(case, "wide ")
    assert got.gradients.weights[0][-1].any()


@pytest.mark.parametrize("N", [1, 63, 64, 65, 999, 1000, 1001, 2500])
def test_whole_passes_agree_for_any_number_of_rows(N):
    """Chunks of the reference, shares of the kernels: no row is lost at their ends, or met twice."""
    rng = np.random.default_rng(N)
    case = draw(8)
    architecture = Architecture(30, (19, 6), 5)
    X, y = values(rng, "uint8 sparse", N, 30), rng.integers(0, 5, N)
    case = type(case)(
        N, architecture, weights(rng, architecture), X, y, "clip:0.05,0.9", 255.0, None, "uint8 sparse"
    )
    case = edge_free(case)
    X, y, p = case.X, case.y, case.parameters
    for threads in (1, 3):
        options = {**case.options, "threads": threads}
        ours, theirs = (call(nn.predict_proba, p, X, **options) for nn in (kernels, reference))
        check("probabilities", ours, theirs)
        check(
            "outputs", call(kernels.forward, p, X, **options)[0], call(reference.forward, p, X, **options)[0]
        )
        ours, theirs = (call(nn.evaluate, p, X, y, loss=case.loss, **options) for nn in (kernels, reference))
        check("loss", ours.loss, theirs.loss)
        assert ours.accuracy == theirs.accuracy
        assert call(kernels.dead_units, p, X, **options) == call(reference.dead_units, p, X, **options)
    # one row alone gives the very bytes it gives among others
    alone = call(kernels.predict_proba, p, X[-1:], **case.options)
    assert alone.tobytes() == call(kernels.predict_proba, p, X, **case.options)[-1:].tobytes()


def test_a_unit_that_the_last_row_alone_activates_is_not_dead():
    X = np.zeros((1500, 4), np.uint8)
    X[-1, 2] = 200
    W = np.zeros((4, 3), np.float32)
    W[2, 1] = 1
    p = Parameters((W, np.ones((3, 2), np.float32)), (np.zeros(3, np.float32), np.zeros(2, np.float32)))
    for threads in (1, 2, 5):
        assert kernels.dead_units(net_of(p), X, threads=threads) == reference.dead_units(net_of(p), X) == [2]
        assert (
            kernels.dead_units(net_of(p), X[:-1], threads=threads)
            == reference.dead_units(net_of(p), X[:-1])
            == [3]
        )


@pytest.mark.parametrize("seed", range(6))
def test_each_hidden_layer_may_have_its_activation(seed):
    """Against the reference, and with the same bytes for any number of threads, a row alone too."""
    rng = np.random.default_rng(seed)
    hidden, acts = rng.integers(1, 20, 3), rng.permutation(ACTS)[:3]
    layers = tuple(Layer(int(width), str(act)) for width, act in zip(hidden, acts, strict=True))
    architecture = Architecture(40, layers, 4)
    X, y, p = values(rng, "float32 sparse", 90, 40), rng.integers(0, 4, 90), weights(rng, architecture)
    trained, looked = set(), {}
    for threads in (1, 2, 3):
        net = Net(architecture, p.copy())
        looked["kernels"] = kernels.loss_and_gradients(net, X, y, threads=threads)
        kernels.train_epoch(net, X, y, np.arange(90), lr=0.1, batch_size=16, threads=threads)
        one, all_ = kernels.predict_proba(net, X[7:8]), kernels.predict_proba(net, X, threads=threads)
        trained.add(digest(*net.parameters, *looked["kernels"].gradients, all_))
        assert one.tobytes() == all_[7:8].tobytes()
    assert len(trained) == 1
    looked["reference"] = reference.loss_and_gradients(Net(architecture, p), X, y)
    check("loss", looked["kernels"].loss, looked["reference"].loss)
    check_named("gradient", looked["kernels"].gradients, looked["reference"].gradients)
