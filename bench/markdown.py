"""The few pieces of Markdown that RESULTS.md is made of."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from fastmlp.environment import describe


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


def threads_of(n: int) -> str:
    """For people."""
    return f"{n} thread{'s' if n > 1 else ''}"


def repeat(section: str) -> str:
    """The command that measures a section again."""
    return f"Repeat: `python bench/results.py --only {section}`"


def heading(command: str, peak: float, data: str) -> str:
    """What was run, where and when. peak: of the machine, GFLOP/s; data: their name."""
    facts = describe()
    packages = ", ".join(f"{name} {facts['packages'][name]}" for name in ("numpy", "numba", "llvmlite"))
    return text(
        "# Results",
        f"Written by `{command}` on {datetime.date.today():%Y-%m-%d}.",
        f"{facts['cpu']}, {facts['cores']} of {facts['cores_of_machine']} cores, "
        f"{peak:.0f} GFLOP/s at its measured peak; {facts['system']}; {facts['python']}; "
        f"fastmlp {facts['fastmlp']}, {packages}, BLAS: {facts['blas']}. Data: {data}.",
        "Ratios are medians of pairs measured in one run, in turns; lines where fastmlp loses are shown like "
        "the others. A limit is what the same cores reached in a loop of multiply-adds, or of loads.",
    )
