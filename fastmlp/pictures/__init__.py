"""How every picture of the project looks, in one place; nothing is measured here.

look: colours, sizes, words. ticks: where an axis has numbers. saved: files, light or dark as their page is.
matplotlib is imported where a picture is drawn: it is an extra.
"""

from fastmlp.pictures.look import (
    BLUE,
    GREEN,
    GREY,
    INK,
    PURPLE,
    VERMILION,
    WIDTH,
    check,
    figure,
    headline,
    legend,
    style,
)
from fastmlp.pictures.saved import alone, png, svg
from fastmlp.pictures.ticks import apart, counted, logarithmic, timed

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "PURPLE",
    "VERMILION",
    "WIDTH",
    "alone",
    "apart",
    "check",
    "counted",
    "figure",
    "headline",
    "legend",
    "logarithmic",
    "png",
    "style",
    "svg",
    "timed",
]
