"""What diagnose measures, on nets and data made so that the answer is known."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from nets import net_of

from fastmlp import Architecture, initialise, kernels, reference
from fastmlp.diagnosis import measures
from fastmlp.diagnosis.measures import LabelCounts, LayerState


def test_inputs():
    x = np.array([[0.0, 3, 5], [4, 3, 0]])
    assert asdict(measures.inputs(x)) == pytest.approx(
        {
            "rows": 2, "columns": 3, "constant_columns": 1, "mean": 2.5, "spread": x.std(), "largest": 5,
            "density": 4 / 6, "top_eigenvalue": np.linalg.eigvalsh(x.T @ x / 2).max(),
        },
        rel=1e-3,
    )  # fmt: skip


def test_label_counts():
    assert measures.label_counts(np.array([0, 0, 0, 2]), 4) == LabelCounts((3, 0, 1, 0), 3)


def test_layers_know_dead_and_always_active_units():
    p = initialise(Architecture(3, (4,), 2))
    p.biases[0][...] = [-100, 100, 0, 0]
    p.weights[0][:, 3] = 0
    (hidden, out) = measures.layers(net_of(p), np.random.default_rng(0).normal(size=(50, 3)))
    assert (hidden.dead, hidden.always_on, hidden.constant, hidden.saturated) == (0.5, 0.25, 0.5, None)
    assert out == LayerState(2, out.z_spread, out.z_largest)


@pytest.mark.parametrize(("act", "edge"), [("sigmoid", 6.0), ("tanh", 3.0)])
def test_saturated_is_a_slope_under_a_hundredth(act, edge):
    p = initialise(Architecture(1, (1,), 2))
    p.weights[0][...] = 1
    rows = np.array([[0.0], [edge * 0.95], [edge * 1.05], [-2 * edge]])
    assert measures.layers(net_of(p, act), rows)[0].saturated == 0.5


@pytest.mark.parametrize("nn", [kernels, reference])
def test_losses_count_live_samples_under_each_loss(nn):
    p = initialise(Architecture(2, (), 2))
    for W, b in zip(p.weights, p.biases, strict=True):
        W[...], b[...] = [[0, 1], [0, 0]], 0
    X = np.array([[0.0, 0], [30, 0], [30, 0], [-10, 0]], np.float32)  # the logit of class 1
    y = np.array([0, 1, 0, 1])
    tested, probabilities = nn.evaluate(net_of(p), X, y, loss="keras2"), nn.predict_proba(net_of(p), X)
    found = measures.losses(tested, probabilities, y, "keras2")
    assert found.live == {"logits": 1.0, "keras2": 0.5, measures.THIRD_ANSWER_CLIP: 0.5}
    assert found.guess == math.log(2)
    assert found.accuracy == 0.5
    assert found.frozen == pytest.approx(found.loss / 0.5 / -math.log(1e-7))
    assert measures.losses(tested, probabilities, y, "logits").frozen is None


def test_gradients_and_update_ratios():
    p = initialise(Architecture(5, (4,), 3)).astype(np.float64)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    found = measures.gradients(net_of(p), x, y, "logits")
    want = reference.loss_and_gradients(net_of(p), x, y).gradients
    assert found.gradient == pytest.approx([np.linalg.norm(W) for W in want.weights])
    assert measures.update_ratios(found, 0.1) == pytest.approx(
        [0.1 * np.linalg.norm(g) / np.linalg.norm(W) for g, W in zip(want.weights, p.weights, strict=True)]
    )
    assert found.not_finite == (0, 0)
    p.weights[1][0, 0] = np.inf
    assert sum(measures.gradients(net_of(p), x, y, "logits").not_finite) > 0
