"""What is wrong with a drawn figure: words twice or missing, text out of the frame, on text, or on lines."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

_SLACK = 1.0  # pixels: of every box, for rounding


def faults(figure: Any) -> list[str]:
    """Lay the figure out, and return a line for each fault; none where a person can read all of it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(text, _within(text.get_window_extent(canvas.get_renderer()))) for text in texts(figure)]
    found = _unnamed(figure) + [
        f"{name} has {word!r} twice"
        for name, words in ticks(figure)
        for word in sorted({word for word in words if words.count(word) > 1})
    ]
    frame = figure.bbox
    for text, box in boxes:
        if box.x0 < frame.x0 or box.y0 < frame.y0 or box.x1 > frame.x1 or box.y1 > frame.y1:
            found.append(f"{text!r} leaves the frame")
    for (one, first), (other, second) in combinations(boxes, 2):
        if first.overlaps(second):
            found.append(f"{one!r} runs into {other!r}")
    for axes in figure.findobj(lambda artist: hasattr(artist, "get_xaxis")):
        drawn = [*_lines(axes), *_solid(axes)]
        for text, box in boxes:
            found += [f"{text!r} runs into a line or a bar" for path in drawn if _meets(path, box)][:1]
    return found


def texts(figure: Any) -> list[str]:
    """Return the figure's visible texts, each of them one artist; ticks beyond the axis are none."""
    hidden = {
        id(text) for axes in figure.findobj(lambda a: hasattr(a, "get_xaxis")) for text in _beyond(axes)
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip()
        and id(text) not in hidden
        and _seen(text)
        and not isinstance(text, Annotation)
    ] + [text for text in figure.findobj(Annotation) if text.get_text().strip() and text.get_visible()]


def ticks(figure: Any) -> list[tuple[str, list[str]]]:
    """Return the words of each axis that shows some, with a name for it."""
    found = []
    for number, axes in enumerate(figure.findobj(lambda artist: hasattr(artist, "get_xaxis"))):
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            beyond = {id(text) for text in _beyond(axes)}
            labels = [label for label in axis.get_ticklabels(which="both") if id(label) not in beyond]
            words = [label.get_text() for label in labels if label.get_text() and label.get_visible()]
            if axes.axison and words and not _values(axes, name):
                found.append((f"axis {name} of axes {number}", words))
    return found


def _unnamed(figure: Any) -> list[str]:
    found = []
    every = figure.findobj(lambda artist: hasattr(artist, "get_xaxis"))
    titles = [axes.get_title(where) for axes in every for where in ("left", "center", "right")]
    wholes = [
        whole.get_suptitle() for whole in figure.findobj(lambda artist: hasattr(artist, "get_suptitle"))
    ]
    if not any([*wholes, *titles]):
        found.append("no headline")
    for number, axes in enumerate(every):
        for name in "xy":
            axis = getattr(axes, f"{name}axis")
            beside = getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)
            named = any(getattr(one, f"get_{name}label")() for one in (*beside, axes))
            numbers = [
                word for word in (label.get_text() for label in axis.get_ticklabels()) if _number(word)
            ]
            whole = figure.get_supxlabel() if name == "x" else figure.get_supylabel()
            if axes.axison and numbers and not named and not whole and not _values(axes, name):
                found.append(f"axis {name} of axes {number} has numbers and no name")
    return found


def _values(axes: Any, name: str) -> bool:
    """Whether that axis only writes values beside another one's rows."""
    return name == "y" and axes.yaxis.get_label_position() == "right" and not axes.get_ylabel()


def _number(word: str) -> bool:
    return re.fullmatch(r"[-−]?[\d.,]+( ?\w{1,2}|%)?", word) is not None


def _seen(artist: Any) -> bool:
    axes = getattr(artist, "axes", None)
    if (
        axes is not None
        and not axes.axison
        and artist in {*axes.xaxis.get_children(), *axes.yaxis.get_children()}
    ):
        return False
    return bool(artist.get_visible())


def _beyond(axes: Any) -> list[Any]:
    """Labels of ticks that are not drawn."""
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            away = not low - slack <= tick.get_loc() <= high + slack
            for label, on in (
                (tick.label1, tick.label1.get_visible()),
                (tick.label2, tick.label2.get_visible()),
            ):
                if away or not on or not axis.get_visible() or not axes.axison:
                    found.append(label)
        if not axes.axison or not axis.get_visible():
            found += [axis.label, axis.offsetText]
    return found


def _within(box: Any) -> Any:
    return Bbox.from_extents(box.x0 + _SLACK, box.y0 + _SLACK, box.x1 - _SLACK, box.y1 - _SLACK)


def _lines(axes: Any) -> list[Any]:
    """Paths of the lines, their marks with them, on the screen."""
    found = []
    for line in axes.lines:
        path = line.get_transform().transform_path(line.get_path())
        inside = axes.bbox if line.get_clip_on() else None
        if line.get_linestyle() not in ("None", "none", "", " "):
            found += _pieces(path.vertices, inside)
        if line.get_marker() not in ("None", "none", "", " ", None):
            found += [
                Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in path.vertices if np.isfinite([x, y]).all()
            ]
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            points = collection.get_offset_transform().transform(collection.get_offsets())
            found += [Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in points]
    return found


def _pieces(vertices: Any, inside: Any) -> list[Any]:
    pairs = [pair for pair in pairwise(vertices) if np.isfinite(pair).all()]
    return [(pair, inside) for pair in pairs]


def _solid(axes: Any) -> list[Any]:
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_fill()]
    shown = (
        Bbox.intersection(bar.get_window_extent(), axes.bbox) for bar in bars
    )  # an axis of logarithms: from 0
    return [box for box in shown if box is not None]


def _meets(drawn: Any, box: Any) -> bool:
    if isinstance(drawn, Bbox) or hasattr(drawn, "x0"):
        return bool(box.overlaps(drawn))
    ((first, second), inside) = drawn
    if inside is not None:
        box = Bbox.intersection(box, inside)
        if box is None:
            return False
    return _crosses(first, second, box)


def _crosses(first: Any, second: Any, box: Any) -> bool:
    """Liang and Barsky's clipping of a segment to a box: whether something is left."""
    start, end = 0.0, 1.0
    for a, b, low, high in ((first[0], second[0], box.x0, box.x1), (first[1], second[1], box.y0, box.y1)):
        if a == b:
            if not low <= a <= high:
                return False
            continue
        near, far = sorted(((low - a) / (b - a), (high - a) / (b - a)))
        start, end = max(start, near), min(end, far)
    return start <= end
