"""From a stack of layers to what the engine trains: parameters, one hidden activation, softmax or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastmlp.errors import ModelError
from fastmlp.keras.layers.core import Dense, Layer
from fastmlp.keras.missing import missing
from fastmlp.keras.names import HIDDEN
from fastmlp.net import Net, Parameters
from fastmlp.words import layers as engine


@dataclass(frozen=True)
class Network:
    """dense: the layers; acts: the engine's words for the hidden ones; softmax: whether the last has it."""

    dense: tuple[Dense, ...]
    acts: tuple[str, ...]
    softmax: bool

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Network:
        """The net of these layers. Raises ValueError, and MissingError where the engine has no such net."""
        pairs = _activated(layers)
        if not pairs:
            raise ModelError("a model must have a Dense layer", "none", "add one")
        *hidden, (last, output) = pairs
        for layer, act in hidden:
            if act not in HIDDEN:
                raise missing(f"{act} in a hidden layer ({layer.name})", f"it has {', '.join(HIDDEN)} there")
        if output not in ("softmax", "linear"):
            raise missing(
                f"{output} in the last layer ({last.name})", "it has softmax there, or none for logits"
            )
        if last.units < 2:
            raise missing(
                f"net of one output ({last.name})", "use two, softmax and a categorical cross-entropy"
            )
        acts = tuple(HIDDEN[act] for _, act in hidden)
        return cls(tuple(layer for layer, _ in pairs), acts, output == "softmax")

    @property
    def net(self) -> Net:
        """The engine's net, of the layers' own arrays: what trains it trains the layers. They are built."""
        arrays: list[Any] = [(layer.kernel, layer.bias) for layer in self.dense]
        parameters = Parameters(tuple(kernel for kernel, _ in arrays), tuple(bias for _, bias in arrays))
        *hidden, output = self.dense
        layers = tuple(engine.Layer(layer.units, act) for layer, act in zip(hidden, self.acts, strict=True))
        return Net(engine.Architecture(parameters.shapes[0][0], layers, output.units), parameters)


def _activated(layers: Sequence[Layer]) -> list[tuple[Dense, str]]:
    """Each Dense with the one activation that follows it."""
    pairs: list[tuple[Dense, str]] = []
    for layer in layers:
        act = getattr(layer, "activation", "linear")
        if isinstance(layer, Dense):
            pairs.append((layer, act))
        elif act != "linear":
            if not pairs:
                raise missing(f"activation before the first Dense ({layer.name})", "transform x instead")
            dense, before = pairs[-1]
            if before != "linear":
                raise missing(f"second activation of one layer ({dense.name}: {before}, {act})", "keep one")
            pairs[-1] = (dense, act)
    return pairs
