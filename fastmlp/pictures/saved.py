"""A figure as SVG in the colours of its page, as a file that is light or dark by itself, or as PNG."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.sax.saxutils import quoteattr

from fastmlp.pictures.look import INK, style

_ALONE = (  # a file has no page around it
    "<style>svg{color:#1b1b1b;background:#fff}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e6e6;background:#161616}}</style>"
)
_DOTS = 150  # of a PNG, an inch


def svg(figure: Any, name: str) -> str:
    """Return one ``<svg>`` without a background, its text and axes in the colour of the page around it.

    name: a word that no other picture of the page has. Who cannot see it hears its headlines.
    """
    out = io.BytesIO()
    with style(f"fastmlp {name}"):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = text.replace(INK, "currentColor").replace("font: ", "font:")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)  # several share a page
    return text.replace("<svg ", f'<svg role="img" aria-label={quoteattr(_headlines(figure) or name)} ', 1)


def _headlines(figure: Any) -> str:
    wholes = figure.findobj(lambda artist: hasattr(artist, "get_suptitle"))
    titles = [*(one.get_suptitle() for one in wholes), *(axes.get_title(loc="left") for axes in figure.axes)]
    return ". ".join(" ".join(title.split()) for title in titles if title)


def alone(svg: str) -> str:
    """Return the same as a file of its own, light or dark as its reader prefers."""
    start = svg.index(">", svg.index("<svg")) + 1
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg[:start]}{_ALONE}{svg[start:]}\n'


def png(figure: Any) -> bytes:
    """Return dark text on white."""
    out = io.BytesIO()
    with style():
        figure.savefig(out, format="png", dpi=_DOTS, facecolor="white")
    return out.getvalue()
