"""The table of a model's layers and parameters, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastmlp.keras.layers.core import Layer


def lines(name: str, layers: Sequence[Layer], inputs: int | None, width: int) -> Iterator[str]:
    """A table of the layers, and the number of parameters."""
    first, second = int(0.45 * width), int(0.35 * width)

    def row(name: str, shape: str, params: str) -> str:
        return f" {name:{first - 1}}{shape:{second}}{params:>{width - first - second}}"

    yield f'Model: "{name}"'
    yield "─" * width
    yield row("Layer (type)", "Output shape", "Parameters")
    yield "─" * width
    units = inputs
    for layer in layers:
        units = getattr(layer, "units", units)
        shape = "?" if units is None else f"(None, {units})"
        params = f"{layer.count_params():,}" if layer.built else "not built"
        yield row(f"{layer.name} ({type(layer).__name__})", shape, params)
    yield "─" * width
    if all(layer.built for layer in layers):
        total = sum(layer.count_params() for layer in layers)
        yield f" {total:,} parameters, all of them trained: {4 * total / 1024:,.1f} KiB"
    else:
        yield " Parameters come with the first inputs, or with model.build((None, D))"
