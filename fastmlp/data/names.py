"""Names of columns: different ones; in messages shortened, listed, and what a misspelt one may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from fastmlp import display
from fastmlp.errors import DataError

MOST_NAMES = 8  # in a message
MOST_COMPARED = 2_000  # names that are held against a misspelt one

_LONGEST = 40  # characters of a name in a message


def short(name: str) -> str:
    """The name in quotes, on one line, shortened in the midst."""
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 12]}...{name[-8:]}")


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """The names in a row, the first and the last of many: ``'a', 'b', ..., 'y', 'z'``."""
    return display.listed(names, most, short)


def check_different(names: Iterable[str], where: str) -> None:
    """Raise DataError for a name that comes twice. where: what has the columns."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(
                f"the columns of {where} must have different names", f"{short(name)} twice", "rename one"
            )
        seen.add(name)


def near(name: object, names: Iterable[str]) -> str:
    """A question with the name that is most like this one: ``did you mean 'age'?``; "" where none is."""
    if not isinstance(name, str):
        return ""
    some = [other for other in list(names)[:MOST_COMPARED] if len(other) <= 100]
    folded = {other.strip().casefold(): other for other in reversed(some)}
    close = difflib.get_close_matches(name[:100].strip().casefold(), folded, 1)
    return f"did you mean {short(folded[close[0]])}?" if close else ""
