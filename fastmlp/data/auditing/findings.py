"""A finding of the audit, what a rule sees, a row of the table of rules; and how names stand in sentences.

Severe is what makes a score mean nothing, or leaves nothing to learn. Not in here: the rules (rules.py).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fastmlp.data.auditing.evidence import Evidence
from fastmlp.display import cell

SEVERITIES = ("severe", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    code:     stable, that of its rule.   severity: severe, warning or note.
    measured: what was seen.   why: why that matters.   change: what to do.
    columns:  whose it is, by name.   rows: some that show it, from 0.   values: the figures behind it.
    """

    code: str
    severity: str
    measured: str
    why: str
    change: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return asdict(self)


@dataclass(frozen=True)
class Seen:
    """The sight of a rule: the fields of a Finding that are its own."""

    severity: str
    measured: str
    change: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    code:     stable.
    see:      what the rule sees in the evidence: nothing, or something for each column or for all of it.
    rule:     the same as a sentence, with its thresholds.
    why:      why it matters.
    severity: when it is what, as a sentence.
    """

    code: str
    see: Callable[[Evidence], Iterable[Seen]]
    rule: str
    why: str
    severity: str

    def findings(self, evidence: Evidence) -> list[Finding]:
        """All that it finds."""
        return [
            Finding(
                self.code, seen.severity, seen.measured, self.why, seen.change, seen.columns, seen.rows,
                seen.values,
            )
            for seen in self.see(evidence)
        ]  # fmt: skip


def named(name: str) -> str:
    """A column's name in a sentence."""
    return cell(name) if name.strip() else f"'{cell(name)}'"


def quoted(word: str) -> str:
    """A text of a cell in a sentence."""
    return f"'{cell(word)}'"


def quoted_groups(groups: Sequence[Sequence[str]]) -> str:
    """Words for the first groups of texts: ``'Rome' and 'rome'; 'Oslo' and 'OSLO'``."""
    return "; ".join(" and ".join(map(quoted, group)) for group in groups[:3])


def option(name: str) -> str:
    """A column's name behind an option, as a shell and then a list of names read it."""
    listed = '"' + name.replace('"', '""') + '"' if re.search(r'[",]|^\s|\s$', name) else name
    return shlex.quote(cell(listed))


def percent(share: float) -> str:
    """A share as people write it."""
    return f"{share:.1%}" if share < 0.9995 else "100%"
