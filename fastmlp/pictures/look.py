"""Colours, sizes and words of a picture.

The colours are Okabe and Ito's, which people tell apart whatever colours they see: those of theirs that are
seen on white and on black pages, and a lighter blue. No line differs from another by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from fastmlp.errors import ConfigError

BLUE, VERMILION, GREEN, PURPLE, GREY = "#2a86cc", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f"
INK = "#010203"  # text and axes; in an SVG it becomes the colour of the page around it
WIDTH = 4.5  # inches: a phone's at 9 points
_LETTERS = 12.4  # of a headline, an inch
_OF_AXES = 50  # letters in a line of theirs, whose width is not known yet
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.fontsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.titlesize": 9,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.markersize": 4,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor"),
        INK,
    ),
}


def check(name: str) -> None:
    """Raise ConfigError, in which ``name`` is what needs it, where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise ConfigError(
            f"{name} must have matplotlib", "none installed", 'install it: pip install "fastmlp[plot]"'
        )


@contextmanager
def style(name: str = "fastmlp", *, ink: bool = True) -> Iterator[None]:
    """Draw in the project's style within. The same name and the same numbers give the same bytes.

    ink False: text and axes keep the colours of the style that the reader has, light or dark.
    """
    from matplotlib import rcParams

    ours = {word: value for word, value in _STYLE.items() if ink or value != INK} | {"svg.hashsalt": name}
    before = {word: rcParams[word] for word in ours}
    rcParams.update(ours)
    try:
        yield
    finally:  # not all the others: a notebook's backend makes itself interactive with its first figure
        rcParams.update(before)


def figure(height: float, width: float = WIDTH) -> Any:
    """Return an empty figure of these inches, which lays itself out. Within ``style``."""
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def headline(place: Any, text: str) -> None:
    """Set what is seen over axes or over a whole figure, in as many lines as it takes."""
    if hasattr(place, "suptitle"):
        letters = int(_LETTERS * place.bbox.width / place.dpi)
        place.suptitle("\n".join(textwrap.wrap(text, letters)), x=0.01, ha="left", parse_math=False)
    else:
        place.set_title("\n".join(textwrap.wrap(text, _OF_AXES)), parse_math=False)


def legend(axes: Any, columns: int = 2, *more: Any) -> None:
    """Set the names of the lines, of ``more`` axes too, below the axes: no curve can run into them."""
    pairs = [axes.get_legend_handles_labels(), *(one.get_legend_handles_labels() for one in more)]
    axes.get_figure(root=False).legend(
        [handle for handles, _ in pairs for handle in handles],
        [name for _, names in pairs for name in names],
        loc="outside lower center", ncols=columns, handlelength=2.2, columnspacing=1.2,
    )  # fmt: skip
