"""What is no longer finite is seen in its batch, by both backends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare import digest
from nets import ACTS, LOSSES, call, learnable, net_of

from fastmlp import Architecture, DivergedError, Parameters, initialise, kernels, reference
from fastmlp.words.layers import layers_of


def diverge(nn, X, y, p, threads=1, **options):
    before = p.sha256()
    with pytest.raises(DivergedError) as caught:
        call(nn.train_epoch, p, X, y, np.arange(len(X)), batch_size=10, threads=threads, **options)
    assert p.sha256() == before
    return caught.value


@pytest.mark.parametrize("loss", LOSSES)
def test_divergence_is_seen_in_its_batch_by_both_backends(loss):
    """A sample whose logits overflow, in a batch of its own choice."""
    X, y = learnable(18, 200, 30, 4)
    X = X.astype(np.float32) / 255
    for row in (0, 57, 199):
        bad = X.copy()
        bad[row] = 3e38
        p = initialise(Architecture(30, (12,), 4), seed=5)
        found = {
            (str(caught), caught.batch)
            for caught in (
                diverge(reference, bad, y, p, loss=loss),
                *(diverge(kernels, bad, y, p, threads, loss=loss) for threads in (1, 2, 3, 5, 8)),
            )
        }
        batch = row // 10 + 1
        assert found == {(f"the loss must stay finite; got nan or infinity in batch {batch}.", batch)}


def test_weights_that_overflow_are_seen_in_their_batch_by_both_backends():
    """The loss is finite, the step too long: the update overflows, in the first layer or in a deeper one."""
    y = np.arange(40) % 2  # the biases' gradients cancel exactly until then
    X = np.zeros((40, 6), np.float32)
    X[25, 3] = 1
    shallow = Parameters((np.zeros((6, 2), np.float32),), (np.zeros(2, np.float32),))
    deep = Parameters(
        (np.full((6, 3), 1e19, np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros(3, np.float32), np.zeros(2, np.float32)),
    )
    X_deep = X * np.float32(1e10)
    for p, data, lr in ((shallow, X * np.float32(1e30), 1e12), (deep, X_deep, 1e12)):
        found = {
            (str(caught), caught.batch)
            for caught in (
                diverge(reference, data, y, p, lr=lr),
                *(diverge(kernels, data, y, p, threads, lr=lr) for threads in (1, 2, 3, 5, 8)),
            )
        }
        assert found == {("the weights must stay finite; got nan or infinity in batch 3.", 3)}


@pytest.mark.parametrize("D", [40, 600])  # whole, and in halves
@pytest.mark.parametrize("largest", [1, 2])
def test_large_weights_are_not_taken_for_infinite_ones(D, largest):
    """Each batch makes weights of 2e38, of another input, from 0; in the last one, of twice that."""
    y = np.arange(50) % 2  # the biases' gradients cancel exactly
    X = np.zeros((50, D), np.float32)
    X[[5, 15, 25, 35, 45], [5, D - 1, 3, D - 5, 7]] = 1e10 * np.array([1, 1, 1, 1, largest])
    p = Parameters((np.zeros((D, 2), np.float32),), (np.zeros(2, np.float32),))
    if largest == 2:
        assert diverge(reference, X, y, p, lr=4e29).batch == 5
        assert {diverge(kernels, X, y, p, threads, lr=4e29).batch for threads in (1, 2, 3)} == {5}
        return
    found = []
    for nn, threads in ((reference, 1), (kernels, 1), (kernels, 2), (kernels, 3)):
        q = p.copy()
        nn.train_epoch(net_of(q), X, y, np.arange(50), batch_size=10, threads=threads, lr=4e29)
        assert np.isclose(abs(q.weights[0]).max(), 2e38)
        found.append(digest(*q))
    assert len(set(found[1:])) == 1


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("loss", ["logits", "keras2"])
def test_nan_in_a_weight_reaches_the_loss(act, loss):
    X, y = learnable(19, 40, 20, 3)
    for layer in (0, 1, 2):
        p = initialise(Architecture(20, layers_of((8, 5), act), 3))
        p.weights[layer][:, 1] = np.nan
        for found in (
            diverge(reference, X, y, p, act=act, loss=loss, scale=255),
            *(diverge(kernels, X, y, p, threads, act=act, loss=loss, scale=255) for threads in (1, 3)),
        ):
            assert found.batch == 1
            assert "loss" in found.must
        assert math.isnan(kernels.evaluate(net_of(p, act=act, scale=255), X, y, loss=loss).loss)
        assert np.isnan(kernels.predict_proba(net_of(p, act=act, scale=255), X)).all()
