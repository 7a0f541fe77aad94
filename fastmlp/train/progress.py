"""What ``progress`` may be: a function of epoch and samples, or True for a bar with the figures of epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastmlp.checks import shown
from fastmlp.display import cell
from fastmlp.errors import ConfigError

if TYPE_CHECKING:
    from fastmlp.train.loop import EpochResult

OnSamples = Callable[[int, int], Any]
Progress = bool | OnSamples | None


def check(progress: Any) -> None:
    """Raise ConfigError for what is neither."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ConfigError("progress must be True, False, None or a function", shown(progress))


@contextmanager
def followed(
    progress: Progress, epochs: int, samples: int
) -> Iterator[tuple[OnSamples | None, Callable[[EpochResult], None]]]:
    """Give what is to be called with (epoch, samples done), and what with each finished epoch.

    samples: of an epoch.
    """
    if not isinstance(progress, bool) or not progress:
        yield progress or None, lambda result: None
        return
    from fastmlp.display.bar import bar

    with bar(epochs) as show:
        yield (
            lambda epoch, done: show(epoch - 1 + min(done / samples, 0.999)),
            lambda result: show(result.epoch, told_of(result)),
        )


def told_of(result: EpochResult) -> str:
    """The figures of an epoch in a line: ``loss 0.2345, accuracy 0.9312, test accuracy 0.9243``."""
    names = {"train_loss": "loss", "train_accuracy": "accuracy"}
    for part, called in (("validation", "held-out"), ("test", "test")):
        scored = getattr(result, f"{part}_accuracy") is not None
        names |= {f"{part}_accuracy": f"{called} accuracy"} if scored else {f"{part}_r2": f"{called} R2"}
        if part == "validation" or result.train_accuracy is None:
            names[f"{part}_loss"] = f"{called} loss"
    figures = ((name, getattr(result, field)) for field, name in names.items())
    return ", ".join(f"{name} {cell(float(value))}" for name, value in figures if value is not None)
