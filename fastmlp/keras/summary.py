"""A model's layers and parameters as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmlp.keras.sequential import Sequential


def lines(model: Sequential, width: int) -> Iterator[str]:
    """A table of the layers, and the number of parameters."""
    first, second = int(0.45 * width), int(0.35 * width)

    def row(name: str, shape: str, params: str) -> str:
        return f" {name:{first - 1}}{shape:{second}}{params:>{width - first - second}}"

    yield f'Model: "{model.name}"'
    yield "─" * width
    yield row("Layer (type)", "Output shape", "Parameters")
    yield "─" * width
    units = model.inputs
    for layer in model.layers:
        units = getattr(layer, "units", units)
        shape = "?" if units is None else f"(None, {units})"
        params = f"{layer.count_params():,}" if layer.built else "not built"
        yield row(f"{layer.name} ({type(layer).__name__})", shape, params)
    yield "─" * width
    if all(layer.built for layer in model.layers):
        total = model.count_params()
        yield f" {total:,} parameters, all of them trained: {4 * total / 1024:,.1f} KiB"
    else:
        yield " Parameters come with the first inputs, or with model.build((None, D))"
