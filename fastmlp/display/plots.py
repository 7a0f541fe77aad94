"""Pictures by matplotlib: curves of epochs, weights into units. Axes are given back, nothing is saved.

Arrays and names come in, no class of fastmlp. Axes of one's own keep their style. New ones have that of all
pictures (pictures/), but that their text has the colours of the reader's style, light or dark. Loaded when
something is drawn.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import pictures
from fastmlp.checks import instance
from fastmlp.display.table import cell
from fastmlp.pictures import BLUE, GREEN, GREY, VERMILION, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {"training": BLUE, "held-out": VERMILION, "test": GREEN}
_MARKS = {"training": "o", "held-out": "s", "test": "^"}
DIVERGING = "RdBu"  # red below 0, white at 0, blue above

MOST_UNITS, MOST_INPUTS = 25, 30  # that are drawn
_MARKED = 25  # epochs, of which each has a mark; of more a tenth has
_WIDE = 30  # the largest over the least of losses whose axis is logarithmic
_LOWEST_R2 = -0.25  # that is in sight where a later one is over 0

_last: weakref.ReferenceType[Figure] | None = None


def check() -> None:
    """Raise ConfigError where matplotlib is not installed."""
    pictures.check("plot")


def figure(width: float, height: float) -> Figure:
    """A new figure of pyplot, which a notebook or ``plt.show()`` shows. Raises ConfigError.

    Where nothing can be shown (a backend that draws into files alone), pyplot keeps the last of them alone:
    a loop over many nets does not fill the memory.
    """
    check()
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.backends.registry import BackendFilter, backend_registry

    registry: Any = backend_registry
    global _last
    made = plt.figure(figsize=(width, height), layout="constrained")
    if mpl.get_backend().lower() in registry.list_builtin(BackendFilter.NON_INTERACTIVE):
        before = None if _last is None else _last()
        if before is not None:
            plt.close(before)
        _last = weakref.ref(made)
    return made


def axes_of(ax: Any, width: float = 6.4, height: float = 4.4) -> Axes:
    """The axes, or those of a new figure for None. Raises ConfigError."""
    check()
    from matplotlib.axes import Axes

    return instance("ax", figure(width, height).subplots() if ax is None else ax, Axes)


def curves(
    ax: Any,
    epochs: Sequence[int],
    losses: Mapping[str, Sequence[float | None]],
    scores: Mapping[str, Sequence[float | None]],
    score: str,
    best: int | None = None,
) -> Axes:
    """Draw the losses by part, on the left axis, and the scores, dashed, on the right one.

    losses, scores: by the names of PARTS, a number for each epoch, None for none. score: what those are.
    best: the epoch whose weights were kept.
    """
    with _look(ax):
        found = axes_of(ax)
        _curves(found, epochs, losses, scores, score)
        if best is not None:
            found.axvline(best, color=GREY, linestyle=":")
        kept = "" if best is None else f" (dotted: the best, epoch {best:,})"
        headline(_place(ax, found), _course(losses, scores, score) + kept)
    return found


def _look(ax: Any) -> AbstractContextManager[None]:
    """The style of all pictures for new axes, but for the colours of text; none for those of a reader."""
    return pictures.style(ink=False) if ax is None else nullcontext()


def _place(ax: Any, found: Axes) -> Any:
    """The place of a headline: the whole of a new figure, or the axes of a reader."""
    return found.get_figure() if ax is None else found


def _course(
    losses: Mapping[str, Sequence[float | None]], scores: Mapping[str, Sequence[float | None]], score: str
) -> str:
    """Words for how a training went: its first loss and its last, and the score that says most."""
    told = next(iter(losses.values()))
    known = [value for value in told if value is not None and np.isfinite(value)]
    if not known:
        return "No loss is finite"
    way = "falls" if known[-1] < known[0] else "rises" if known[-1] > known[0] else "stays"
    said = f"The loss {way} from {known[0]:.3g} to {known[-1]:.3g}"
    if len(known) == 1:
        said = f"The loss of one epoch is {known[0]:.3g}"
    for part in ("test", "held-out", "training"):
        last = scores.get(part, [None])[-1]
        if last is not None:
            return f"{said}; {part} {score} ends at {last:.3g}"
    return said


def _curves(
    ax: Axes,
    epochs: Sequence[int],
    losses: Mapping[str, Sequence[float | None]],
    scores: Mapping[str, Sequence[float | None]],
    score: str,
) -> None:
    from matplotlib.ticker import MaxNLocator

    every = 1 if len(epochs) <= _MARKED else len(epochs) // 10

    def line(axes: Axes, part: str, told: Sequence[float | None], what: str, dashes: str) -> Any:
        return axes.plot(
            epochs, _numbers(told), dashes, color=PARTS[part], marker=_MARKS[part], markersize=3,
            markevery=every, label=f"{part} {what}",
        )[0]  # fmt: skip

    drawn = [line(ax, part, told, "loss", "-") for part, told in losses.items()]
    values = np.concatenate([_numbers(told) for told in losses.values()])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > _WIDE * values.min():
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if scores:
        beside = ax.twinx()
        beside.spines["right"].set_visible(True)
        drawn += [line(beside, part, told, score, "--") for part, told in scores.items()]
        _limit(beside, np.concatenate([_numbers(told) for told in scores.values()]))
        beside.set_ylabel(f"{score} (dashed)")
    below: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "frameon": False}
    drawn.sort(key=lambda line: [*PARTS.values()].index(line.get_color()))  # a column a part
    ax.legend(handles=drawn, ncols=len(losses), **below)


def _limit(ax: Axes, values: NDArray[Any]) -> None:
    """Keep a score's axis to what it can be, and to what says something."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = ax.get_ylim()
    if values.min() < _LOWEST_R2 and values.max() > 0:
        low = _LOWEST_R2
    ax.set_ylim(low, min(high, 1.02))


def _numbers(told: Sequence[float | None]) -> NDArray[Any]:
    return np.array([np.nan if value is None else value for value in told], np.float64)


def weights(
    ax: Any,
    W: NDArray[Any],
    units: str,
    *,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
    most: int = MOST_UNITS,
) -> Axes:
    """Draw W (D, H): a picture for each unit; or a heat map of inputs and units; bars for a single unit.

    units: what the H are: ``hidden units``. names: of the inputs. labels: of the units.
    Of many the ``most`` with the largest weights are drawn, and of inputs MOST_INPUTS, in their order.
    """
    D, H = W.shape
    shown = _largest(W, 0, most)
    told = [cell(label) for label in labels] if labels else [str(j) for j in range(H)]
    told = _apart([told[j] for j in shown])
    largest = f"{len(shown)} of {H:,} {units}, those with the largest weights"
    kept = largest if len(shown) < H else f"{H:,} {units}"
    with _look(ax):
        if image_shape is not None:
            found = axes_of(ax, 6.4, 6.0)
            _mosaic(found, W[:, shown].T.reshape(-1, *image_shape), told if labels else None)
            headline(_place(ax, found), f"Weights of the pixels into {kept}")
            return found
        rows = _largest(W, 1, MOST_INPUTS)
        inputs = _apart([cell(names[i]) if names else f"column {i}" for i in rows])
        found = axes_of(ax, 6.4, max(2.4, 1.4 + 0.2 * len(rows)))
        part = W[np.ix_(rows, shown)]
        if H == 1:
            _bars(found, part[:, 0])
        else:
            _heat(found, part)
            step = -(-len(shown) // 12)
            found.set_xticks(range(0, len(shown), step), told[::step], parse_math=False)
            found.set_xlabel(units.removesuffix("s") if not labels else "class")
        found.set_yticks(range(len(rows)), inputs, parse_math=False)
        first = inputs[int(np.argmax(np.linalg.norm(part.astype(np.float64), axis=1)))]
        of = f"{len(rows)} of {D:,} inputs" if len(rows) < D else f"{D:,} input{'s' * (D > 1)}"
        headline(_place(ax, found), f"{first} weighs most: {of}" + (f" into {kept}" if H > 1 else ""))
    return found


def _bars(ax: Axes, values: NDArray[Any]) -> None:
    colors = [BLUE if value >= 0 else VERMILION for value in values]
    ax.barh(range(len(values)), values, color=colors)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.invert_yaxis()
    ax.set_xlabel("weight")


def _apart(words: list[str]) -> list[str]:
    """The same, but that words which are there again (long ones are cut) have their number behind them."""
    seen: dict[str, int] = {}
    for word in words:
        seen[word] = seen.get(word, 0) + 1
    again: dict[str, int] = {}
    found = []
    for word in words:
        again[word] = again.get(word, 0) + 1
        found.append(word if seen[word] == 1 else f"{word} ({again[word]})")
    return found


def _largest(W: NDArray[Any], axis: int, most: int) -> list[int]:
    """The numbers of the columns (axis 0) or rows with the largest weights, ascending."""
    norms = np.linalg.norm(np.asarray(W, np.float64), axis=axis)
    found: list[int] = sorted(np.argsort(-norms, kind="stable")[:most].tolist())
    return found


def _mosaic(ax: Axes, images: NDArray[Any], labels: list[str] | None) -> None:
    """Images (n, rows, columns) beside and below each other."""
    n, rows, columns = images.shape
    across = int(np.ceil(np.sqrt(n)))
    gap = max(1, rows // 14) if labels is None else max(2, rows // 5)
    above = gap if labels is not None else 0
    canvas = np.full((above + -(-n // across) * (rows + gap) - gap, across * (columns + gap) - gap), np.nan)
    for k, image in enumerate(images):
        top, left = above + k // across * (rows + gap), k % across * (columns + gap)
        canvas[top : top + rows, left : left + columns] = image
        if labels is not None:
            ax.text(left, top - 1, labels[k], va="bottom", fontsize="small", parse_math=False)
    _heat(ax, canvas, aspect="equal")
    ax.set_axis_off()


def _heat(ax: Axes, values: NDArray[Any], aspect: Any = "auto") -> None:
    """Draw numbers as colours, the same on both sides of 0, with a bar that says which."""
    size = np.abs(values[np.isfinite(values)])
    most = float(np.quantile(size, 0.995)) if len(size) else 0.0
    image = ax.imshow(
        values, cmap=DIVERGING, vmin=-(most or 1), vmax=most or 1, aspect=aspect, interpolation="nearest"
    )
    drawn = ax.get_figure()
    assert drawn is not None
    drawn.colorbar(image, ax=ax, label="weight", shrink=0.8)
