"""Pictures by matplotlib: curves of epochs, weights into units. Axes are given back, nothing is saved.

Arrays and names come in, no class of fastmlp. Text and axes have the colours of the reader's own style, light
or dark; those of curves are pictures/look.py's. Loaded when something is drawn.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import pictures
from fastmlp.checks import instance
from fastmlp.display.table import cell
from fastmlp.pictures import BLUE, GREEN, GREY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {"training": BLUE, "held-out": VERMILION, "test": GREEN}
DIVERGING = "RdBu"  # red below 0, white at 0, blue above

MOST_UNITS, MOST_INPUTS = 25, 30  # that are drawn
_MARKED = 25  # epochs, of which each has a mark
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
    from matplotlib.ticker import MaxNLocator

    ax = found = axes_of(ax)
    mark = "o" if len(epochs) <= _MARKED else ""
    drawn = [
        ax.plot(epochs, _numbers(told), color=PARTS[part], marker=mark, markersize=3, label=f"{part} loss")[0]
        for part, told in losses.items()
    ]
    values = np.concatenate([_numbers(told) for told in losses.values()])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > _WIDE * values.min():
        ax.set_yscale("log")
    if best is not None:
        ax.axvline(best, color=GREY, linestyle=":")
    ax.set_xlabel("epoch" if best is None else f"epoch (dotted: {best:,}, the best)")
    ax.set_ylabel("loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if scores:
        beside = ax.twinx()
        drawn += [
            beside.plot(
                epochs, _numbers(told), color=PARTS[part], linestyle="--", marker=mark, markersize=3,
                label=f"{part} {score}",
            )[0]
            for part, told in scores.items()
        ]  # fmt: skip
        _limit(beside, np.concatenate([_numbers(told) for told in scores.values()]))
        beside.set_ylabel(f"{score} (dashed)")
    ax.set_title(_seen(losses["training"], scores, score), fontsize="medium")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "frameon": False}
    drawn.sort(key=lambda line: [*PARTS.values()].index(line.get_color()))  # a column a part
    ax.legend(handles=drawn, ncols=len(losses), **below)
    return found


def _seen(losses: Sequence[float | None], scores: Mapping[str, Sequence[float | None]], score: str) -> str:
    """A headline: where the loss began and ended, and the score that counts most."""
    first, last = _numbers(losses)[[0, -1]]
    goes = "falls" if last < first else "rises" if last > first else "stays"
    told = (
        f"The training loss {goes} from {first:.3g} to {last:.3g}" if len(losses) > 1 else f"Loss {first:.3g}"
    )
    part = next((name for name in ("test", "held-out", "training") if name in scores), None)
    return told if part is None else f"{told}; {part} {score} {_numbers(scores[part])[-1]:.3g}"


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
    told = [told[j] for j in shown]
    kept = f"{len(shown)} of {H:,} {units}, the largest" if len(shown) < H else f"{H:,} {units}"
    if image_shape is not None:
        ax = found = axes_of(ax, 6.4, 6.0)
        _mosaic(ax, W[:, shown].T.reshape(-1, *image_shape), told if labels else None)
        ax.set_title(f"Weights of the pixels into {kept}", fontsize="medium")
        return found
    rows = _largest(W, 1, MOST_INPUTS)
    inputs = [cell(names[i]) if names else f"column {i}" for i in rows]
    ax = found = axes_of(ax, 6.4, max(2.4, 1.4 + 0.2 * len(rows)))
    part = W[np.ix_(rows, shown)]
    if H == 1:
        colors = [BLUE if value >= 0 else VERMILION for value in part[:, 0]]
        ax.barh(range(len(rows)), part[:, 0], color=colors)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.invert_yaxis()
        ax.set_xlabel("weight")
    else:
        _heat(ax, part)
        step = -(-len(shown) // 12)
        ax.set_xticks(range(0, len(shown), step), told[::step], parse_math=False)
        ax.set_xlabel(units.removesuffix("s") if not labels else "class")
    ax.set_yticks(range(len(rows)), inputs, parse_math=False)
    of = f"{len(rows)} of {D:,} inputs" if len(rows) < D else f"{D:,} input{'s' * (D > 1)}"
    ax.set_title(f"Weights of {of} into {kept}" if H > 1 else f"Weights of {of}", fontsize="medium")
    return found


def _largest(W: NDArray[Any], axis: int, most: int) -> list[int]:
    """The numbers of the columns (axis 0) or rows with the largest weights, ascending."""
    norms = np.linalg.norm(np.asarray(W, np.float64), axis=axis)
    found: list[int] = sorted(np.argsort(-norms, kind="stable")[:most].tolist())
    return found


def _mosaic(ax: Axes, pictures: NDArray[Any], labels: list[str] | None) -> None:
    """Pictures (n, rows, columns) beside and below each other."""
    n, rows, columns = pictures.shape
    across = int(np.ceil(np.sqrt(n)))
    gap = max(1, rows // 14) if labels is None else max(2, rows // 5)
    above = gap if labels is not None else 0
    canvas = np.full((above + -(-n // across) * (rows + gap) - gap, across * (columns + gap) - gap), np.nan)
    for k, picture in enumerate(pictures):
        top, left = above + k // across * (rows + gap), k % across * (columns + gap)
        canvas[top : top + rows, left : left + columns] = picture
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
