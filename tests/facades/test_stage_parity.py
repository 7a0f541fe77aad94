"""Batch norm and dropout: what is kept of PyTorch and Keras is what they do (the extra ``parity``)."""

from __future__ import annotations

import numpy as np
import pytest
import stage_cases
from compare import check
from staged_nets import drawn, in_float64, masks_of

from fastmlp import reference
from fastmlp.words.layers import Layer


def test_pytorch_still_takes_the_steps_that_are_kept():
    pytest.importorskip("torch")
    kept = np.load(stage_cases.FILE)
    for name, array in stage_cases.flat("torch", *stage_cases.by_torch()).items():
        check("trajectory weights", array, kept[name], name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
def test_keras_still_takes_the_steps_that_are_kept(keras):
    kept = np.load(stage_cases.FILE)
    for name, array in stage_cases.flat("keras", *stage_cases.by_keras(keras)).items():
        check("trajectory weights", array, kept[name], name)


@pytest.mark.parametrize("seed", range(8))
def test_gradients_are_pytorchs_with_the_masks_given(seed):
    """In float64, so that a wrong term has nowhere to hide."""
    torch = pytest.importorskip("torch")
    case = in_float64(drawn(seed, rows=30))
    net, parameters = case.net, case.net.parameters
    names = [name for name, _ in parameters.named() if not name.startswith(("mean", "variance"))]
    leaves = {
        name: torch.from_numpy(a.copy()).requires_grad_(name in names) for name, a in parameters.named()
    }
    masks = [None if m is None else torch.from_numpy(m) for m in masks_of(case, np.arange(len(case.X)))]
    a = torch.from_numpy(case.X) if masks[0] is None else torch.from_numpy(case.X) * masks[0]

    def normalised(z, layer: Layer, i: int):
        epsilon = layer.batch_norm.epsilon
        return torch.nn.functional.batch_norm(
            z, None, None, leaves[f"gamma{i}"], leaves[f"beta{i}"], training=True, eps=epsilon
        )

    for i, layer in enumerate(net.architecture.layers, 1):
        place = layer.batch_norm and layer.batch_norm.place
        a = a @ leaves[f"W{i}"] + leaves[f"b{i}"]
        a = normalised(a, layer, i) if place == "before" else a
        a = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "identity": lambda z: z}[layer.act](a)
        a = normalised(a, layer, i) if place == "after" else a
        a = a if masks[i] is None else a * masks[i]
    i = len(parameters.weights)
    loss = torch.nn.functional.cross_entropy(a @ leaves[f"W{i}"] + leaves[f"b{i}"], torch.from_numpy(case.y))
    loss.backward()
    ours = reference.loss_and_gradients(net, case.X, case.y, **case.draw)
    check("torch float64", ours.loss, loss.item(), str(case))
    largest = max(np.linalg.norm(gradient) for gradient in ours.gradients)
    for name, gradient in ours.gradients.named():
        if name in names and np.linalg.norm(gradient) > 1e-9 * largest:
            np.testing.assert_allclose(gradient, leaves[name].grad.numpy(), rtol=1e-9, atol=1e-12 * largest)
