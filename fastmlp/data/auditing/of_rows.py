"""What the rules see of the rows: copies, contradictions, and an order that has to do with the label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastmlp.data.auditing import rows
from fastmlp.data.auditing.evidence import Evidence
from fastmlp.data.auditing.findings import Seen, named, percent
from fastmlp.display import listed

FEWEST = 20  # labelled rows
MANY = 0.01  # of the rows that repeat another
IN_ORDER, RELATED = 0.2, 0.5  # share of neighbours alike over chance; correlation of neighbours
DEVIATIONS = 5  # beyond what chance gives


def rows_repeated(e: Evidence) -> Iterator[Seen]:
    """See rows that are there twice."""
    columns = [*e.compared, e.label]
    if len(e.table) < 2 or not e.compared:
        return
    found = rows.repeated(columns, rows.sums_of(columns))
    if found.count and _beyond_chance(found.pairs, found.by_chance):
        share = found.count / len(e.table)
        but = f", but for {listed(map(named, e.identifiers), 3)}" if e.identifiers else ""
        first = "; ".join(f"{e.table.row(again)} as {e.table.row(of)}" for again, of in found.rows[:2])
        yield Seen(
            "warning" if share >= MANY else "note",
            f"{found.count:,} row{'s repeat' if found.count > 1 else ' repeats'} another{but}: {first}",
            "keep one of each where they were copied by mistake",
            rows=tuple(again for again, _ in found.rows),
            values={"rows": found.count, "share": share},
        )


def rows_conflicting(e: Evidence) -> Iterator[Seen]:
    """See rows that differ in their label alone."""
    count = len(e.conflicts)
    if not count or len(e.labelled) < FEWEST:
        return
    alike = rows.repeated([column.take(e.labelled) for column in e.compared], e.sums[e.labelled])
    if _beyond_chance(alike.pairs, alike.by_chance):
        yield Seen(
            "warning",
            f"{count:,} rows have the same features as another and a different label",
            "see which label is right",
            rows=tuple(e.conflicts[:5].tolist()),
            values={"rows": count},
        )


def rows_ordered(e: Evidence) -> Iterator[Seen]:
    """See an order of the rows that has to do with the label."""
    n = len(e.labelled)
    if n < FEWEST:
        return
    if e.classes > 1:
        share, chance, deviations = rows.neighbours_alike(e.y)
        if deviations < DEVIATIONS or share < chance + IN_ORDER:
            return
        is_sorted = int((e.y[1:] != e.y[:-1]).sum()) == e.classes - 1
        measured = (
            f"{percent(share)} of the rows have the label of the row before; {percent(chance)} by chance"
        )
        values = {"share": share, "chance": chance}
    elif not e.classes:
        r, deviations = rows.neighbours_related(e.y)
        if deviations < DEVIATIONS or r < RELATED:
            return
        is_sorted = bool((np.diff(e.y) >= 0).all() or (np.diff(e.y) <= 0).all())
        measured = f"the label goes with that of the row before, r = {r:.2f}"
        values = {"r": r}
    else:
        return
    yield Seen(
        "note" if is_sorted else "warning",
        f"the rows are sorted by the label: {measured}" if is_sorted else measured,
        "nothing here, for rows are drawn; never cut a part from an end of the file"
        if is_sorted
        else "give rows of another time, place or group as --test-data, so that the score is honest",
        values=values,
    )


def _beyond_chance(pairs: int, by_chance: float) -> bool:
    """Tell whether so many equal pairs are more than related columns would have: 100 times by chance."""
    least = 100 * by_chance
    return pairs > least + 5 * float(np.sqrt(least))
