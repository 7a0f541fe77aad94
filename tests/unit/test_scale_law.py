"""Scaling inputs IS a learning rate for the first layer: X with (W1, lr) and X / s with (s W1, s^2 lr on W1).

    z1 = X W1 = (X / s)(s W1);  dL/d(s W1) = dW1 / s;  s W1 - (s^2 lr)(dW1 / s) = s (W1 - lr dW1)

For s a power of two every rounding is the same, and so are the bytes; else the two part slowly. The loop is a
user's own, with a rate for each layer, on the functions that both backends export.
"""

from __future__ import annotations

import numpy as np
import pytest
from compare import check, digest, error
from nets import learnable, net_of

from fastmlp import Architecture, Parameters, initialise, kernels, random, reference
from fastmlp.words.layers import layers_of

BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])


def train(nn, p, X, y, *, steps, lr, first_lr, scale, act="relu", loss="logits", batch=100):
    """Losses of ``steps`` steps of SGD, with a rate of its own for W1; ``p`` is changed in place."""
    losses, rate = [], p.dtype.type
    for step in range(steps):
        at = step * batch % len(X)
        if at == 0:
            order = random.permutation(len(X), 1, "order", step // len(X))
        rows = order[at : at + batch]
        loss_now, gradients, *_ = nn.loss_and_gradients(
            net_of(p, act=act, scale=scale), X[rows], y[rows], loss=loss
        )
        for n, (array, gradient) in enumerate(zip(p, gradients, strict=True)):
            array -= rate(first_lr if n == 0 else lr) * gradient
        losses.append(loss_now)
    return np.array(losses)


def both_ways(nn, s, *, dtype, steps, act, hidden, loss, scale=1.0, lr=0.01):
    """The two runs: (p, losses) on X, and on X / s with W1 brought back to the units of the first."""
    X, y = learnable(1, 1000, 150, 6)
    start = initialise(Architecture(150, layers_of(hidden, act), 6), dtype=dtype)
    start.weights[0][...] /= dtype(256)  # below the stability limit also on 0..255
    plain = start.copy()
    scaled = Parameters((start.weights[0] * dtype(s), *start.weights[1:]), start.biases).copy()
    options = {"steps": steps, "lr": lr, "act": act, "loss": loss}
    first_lr = lr / 256**2
    one = train(nn, plain, X, y, first_lr=first_lr, scale=scale, **options)
    two = train(nn, scaled, X, y, first_lr=s**2 * first_lr, scale=s * scale, **options)
    scaled.weights[0][...] /= dtype(s)
    assert error(plain.weights[0], start.weights[0]) > 1e-3, "nothing was learnt: the law says nothing"
    return plain, one, scaled, two


SETTINGS = pytest.mark.parametrize(
    ("act", "hidden", "loss"),
    [
        ("relu", (30,), "logits"),
        ("sigmoid", (30,), "keras2"),
        ("tanh", (20, 9), "clip:1e-10,0.999999"),
        ("identity", (), "logits"),
    ],
)


@BOTH
@SETTINGS
def test_scale_law_holds_byte_for_byte_over_an_epoch_for_256(nn, act, hidden, loss):
    plain, one, scaled, two = both_ways(
        nn, 256, dtype=np.float32, steps=10, act=act, hidden=hidden, loss=loss, lr=0.1
    )
    assert digest(*plain) == digest(*scaled)
    assert digest(one) == digest(two)


@SETTINGS
def test_scale_law_holds_to_1e_9_over_100_steps_for_255(act, hidden, loss):
    plain, one, scaled, two = both_ways(
        reference, 255, dtype=np.float64, steps=100, act=act, hidden=hidden, loss=loss
    )
    for (name, a), (_, b) in zip(plain.named(), scaled.named(), strict=True):
        check("scale law", b, a, name)
    check("scale law", two, one)


@BOTH
def test_scale_law_needs_the_square(nn):
    """With s instead of s^2 for the rate the law fails: the check is not blind."""
    X, y = learnable(1, 1000, 150, 6)
    p = initialise(Architecture(150, (30,), 6))
    q = Parameters((p.weights[0] * np.float32(256), *p.weights[1:]), p.biases).copy()
    one = train(nn, p, X, y, steps=10, lr=0.01, first_lr=0.01, scale=256)
    two = train(nn, q, X, y, steps=10, lr=0.01, first_lr=256 * 0.01, scale=256 * 256)
    assert one[0] == two[0]
    assert abs(one - two).max() > 1e-4


@BOTH
@pytest.mark.parametrize("s", [2.0, 16.0, 256.0])
def test_scale_option_is_a_division(nn, s):
    """train_epoch on X with scale s, and on X / s with scale 1: the same bytes for powers of two."""
    X, y = learnable(2, 600, 120, 5)
    start = initialise(Architecture(120, (25, 10), 5))
    seen = set()
    for data, scale in ((X, s), (X / np.float32(s), 1.0), (X.astype(np.float32) * np.float32(s), s * s)):
        p = start.copy()
        totals = nn.train_epoch(net_of(p, scale=scale), data, y, np.arange(600), lr=1e-4)
        seen.add(digest(*p, totals[:4]))
    assert len(seen) == 1


@BOTH
def test_the_pattern_of_active_units_does_not_depend_on_the_scale(nn):
    """With zero biases sign(z) is the same for x and x / 256; logits are 256-fold."""
    X, _ = learnable(3, 500, 150, 6)
    p = initialise(Architecture(150, (40,), 6))
    raw, small = nn.forward(net_of(p, scale=1), X), nn.forward(net_of(p, scale=256), X)
    assert ((raw[0] > 0) == (small[0] > 0)).all()
    assert digest(raw[1]) == digest(small[1] * np.float32(256))
