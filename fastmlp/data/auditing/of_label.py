"""What the rules see of the label: one that says nothing, classes of few rows, columns that give it away."""

from __future__ import annotations

from collections.abc import Iterator

from fastmlp.data.auditing import texts
from fastmlp.data.auditing.evidence import Evidence, counts_of
from fastmlp.data.auditing.facts import text_of
from fastmlp.data.auditing.findings import Seen, named, option, percent, quoted, quoted_groups
from fastmlp.data.auditing.relations import OWN_CLASS
from fastmlp.display import listed

FEWEST = 10  # rows of a label that can be judged
FEW = 5  # rows of a class: as many as folds
IMBALANCE, HEAVY = 10, 100  # times as many rows of one class as of another
UNLABELLED = 0.2  # of the rows


def label_constant(e: Evidence) -> Iterator[Seen]:
    """See a label with one value."""
    if not len(e.y) or (e.y == e.y[0]).all():
        there = text_of(e.label, e.label.values[e.labelled[0]]) if len(e.labelled) else "nothing"
        measured = f"the label {named(e.label.name)} is {quoted(there)} in every row"
        yield Seen("severe", measured, "name another column (--label)", (e.label.name,))


def label_all_different(e: Evidence) -> Iterator[Seen]:
    """See a label of classes that have hardly a row each."""
    if e.classes > 1 and len(e.labelled) >= FEWEST and e.classes * OWN_CLASS > len(e.labelled):
        yield Seen(
            "severe",
            f"the label {named(e.label.name)} has {e.classes:,} classes in {len(e.labelled):,} rows",
            "name another column (--label), or say --task numbers where it is a quantity",
            (e.label.name,),
            values={"classes": e.classes},
        )


def label_copied(e: Evidence) -> Iterator[Seen]:
    """See columns that are the label under another name."""
    for name, how in e.relations.copied.items():
        yield Seen(
            "severe", f"{named(name)} is the label again: {how}", f"leave it out (--drop {option(name)})",
            (name,),
        )  # fmt: skip


def label_spelled(e: Evidence) -> Iterator[Seen]:
    """See one class in several spellings."""
    if not e.classes or e.label.kind != "text":
        return
    groups = texts.alike(e.label.words, counts_of(e.label))
    if groups:
        yield Seen(
            "severe",
            f"the label {named(e.label.name)} spells {len(groups):,} class{'es' * (len(groups) > 1)} "
            f"in several ways: {quoted_groups(groups)}",
            "write each in one way",
            (e.label.name,),
            values={"groups": [list(group) for group in groups[:100]]},
        )


def label_leaked(e: Evidence) -> Iterator[Seen]:
    """See columns that alone give the label."""
    found = e.relations
    for name, score in found.leaked:
        by = f"skill {score:.3f}, where guessing is 0" if e.classes else f"R2 {score:.5f}"
        yield Seen(
            "severe" if found.stands_out else "warning",
            f"{named(name)} alone gives the label: {by}, each row told from the others",
            f"leave it out (--drop {option(name)}), unless it will be known for new rows too",
            (name,),
            values={"skill" if e.classes else "r2": score, "next_best": found.next_best},
        )


def classes_rare(e: Evidence) -> Iterator[Seen]:
    """See classes of few rows."""
    if e.classes < 2 or e.classes * OWN_CLASS > len(e.labelled):
        return
    few = [(name, count) for name, count in e.about.counts if count < FEW]
    if few:
        shown = listed((f"{quoted(name)} {count}" for name, count in few), 5)
        yield Seen(
            "warning",
            f"{len(few):,} class{'es have' if len(few) > 1 else ' has'} fewer than {FEW} rows: {shown}",
            "get more of them, put them together, or leave them out: nobody can learn or test them",
            (e.about.name,),
            values={"classes": dict(few)},
        )


def classes_imbalanced(e: Evidence) -> Iterator[Seen]:
    """See classes of unequal sizes."""
    counts = [(count, name) for name, count in e.about.counts if count >= FEW]
    if len(counts) < 2:
        return
    (least, rare), (most, common) = min(counts), max(counts)
    if most >= IMBALANCE * least:
        yield Seen(
            "warning" if most >= HEAVY * least else "note",
            f"the class {quoted(common)} has {most:,} rows, {quoted(rare)} {least:,}",
            "look at the recall of each class, not at accuracy; try --class-weight balanced",
            (e.about.name,),
            values={"ratio": most / least},
        )


def unlabelled(e: Evidence) -> Iterator[Seen]:
    """See rows without a label."""
    if e.about.missing:
        share = e.about.missing / len(e.table)
        yield Seen(
            "warning" if share >= UNLABELLED else "note",
            f"{e.about.missing:,} rows ({percent(share)}) have no label",
            "nothing: they are left out",
            (e.about.name,),
            values={"rows": e.about.missing, "share": share},
        )
