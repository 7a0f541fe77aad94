"""The few pieces of Markdown that RESULTS.md is made of."""

from __future__ import annotations

from collections.abc import Sequence


def text(*paragraphs: str) -> str:
    """Paragraphs."""
    return "\n\n".join(paragraphs)


def table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, rule, *lines))


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
