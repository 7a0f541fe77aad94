"""A net without batch norm that predicts as one with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.net import Net, Norm, Parameters
from fastmlp.words.layers import Architecture, Layer


def folded(net: Net) -> Net:
    """A net without batch norm that predicts as this one does: itself where it has none.

    In prediction a batch norm multiplies what it takes by gamma / sqrt(variance + epsilon) and adds a number.
    Both join the weights before it, or those after it where it takes the activation's outputs.
    """
    architecture = net.architecture
    if not architecture.normalises:
        return net
    dtype, weights, biases = net.parameters.dtype, [*net.parameters.weights], [*net.parameters.biases]
    with np.errstate(over="ignore", invalid="ignore"):  # a net about to diverge
        for i, (layer, norm) in enumerate(zip(architecture.layers, net.parameters.norms, strict=True)):
            if norm is None or layer.batch_norm is None:
                continue
            factor, summand = scale_and_shift(layer, norm)
            if layer.batch_norm.place == "before":
                weights[i] = weights[i] * factor.astype(dtype)
                biases[i] = biases[i] * factor + summand
            else:  # no product by BLAS, whose threads may add up in other orders
                biases[i + 1] = biases[i + 1] + (summand[:, None] * weights[i + 1]).sum(axis=0)
                weights[i + 1] = factor.astype(dtype)[:, None] * weights[i + 1]
        biases = [b.astype(dtype, copy=False) for b in biases]
    layers = tuple(replace(layer, dropout=0.0, batch_norm=None, bias=True) for layer in architecture.layers)
    assert architecture.output is not None
    plain = Architecture(
        architecture.inputs, layers, architecture.outputs, replace(architecture.output, bias=True)
    )
    return Net(plain, Parameters(tuple(weights), tuple(biases)), net.preprocessing)


def scale_and_shift(layer: Layer, norm: Norm) -> tuple[NDArray[Any], NDArray[Any]]:
    """The factor and the summand (H,), in float64, of a layer's batch norm in prediction."""
    assert layer.batch_norm is not None
    gamma, beta, mean, variance = (array.astype(np.float64) for array in norm)
    factor = gamma / np.sqrt(variance + layer.batch_norm.epsilon)
    return factor, beta - factor * mean
