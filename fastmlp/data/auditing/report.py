"""Audit: a table as fastmlp sees it, and what looks wrong, as a type, as a small table, as JSON.

Not in here: how it was found (call.py, rules.py), and the lines of the command line (cli/data.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastmlp.data.auditing.facts import ColumnFacts, LabelFacts
from fastmlp.data.auditing.findings import Finding
from fastmlp.display import Display, Displayed, cell, ends

MOST_CLASSES = 12  # in a line
MOST_FINDINGS = 6  # that are shown


@dataclass(frozen=True, repr=False)
class Audit(Displayed):
    """The result of ``audit``.

    where:     the file, or what else the table is.   rows: how many it has.
    columns:   the facts of each column but the label's.
    label:     the facts of the label.
    inputs:    the number of inputs that a net has of it.
    repeated:  rows whose cells, the label among them, are those of a row before.
    conflicts: rows that have another class than a row with the same cells, but for those that name the row.
    findings:  what looks wrong, the worst first.
    told:      how the table was read, where that is not plain.
    """

    where: str
    rows: int
    columns: tuple[ColumnFacts, ...]
    label: LabelFacts
    inputs: int
    repeated: int
    conflicts: int
    findings: tuple[Finding, ...]
    told: tuple[str, ...] = ()

    @property
    def severe(self) -> bool:
        """True where a score would mean nothing, or where there is nothing to learn."""
        return any(finding.severity == "severe" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dump."""
        return {
            "where": self.where,
            "rows": self.rows,
            "inputs": self.inputs,
            "repeated": self.repeated,
            "conflicts": self.conflicts,
            "label": asdict(self.label) | {"counts": dict(self.label.counts)},
            "columns": [
                asdict(facts) | {"missing_share": facts.missing_share, "common": dict(facts.common)}
                for facts in self.columns
            ],
            "severe": self.severe,
            "findings": [finding.to_json() for finding in self.findings],
            "told": list(self.told),
        }

    @property
    def title(self) -> str:
        """Its sizes, in a line."""
        rows, columns, inputs = (
            f"{count:,} {noun}{'s' * (count != 1)}"
            for count, noun in ((self.rows, "row"), (len(self.columns), "column"), (self.inputs, "input"))
        )
        return f"{self.where}: {rows}, {columns} beside the label -> {inputs}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The label, its classes or its range, and rows that are alike: names and lines."""
        label = self.label
        lines = [f"{label.how.removeprefix('label: ')}; {label.why}"]
        if label.counts:
            K = len(label.counts)
            shown = label.counts if K <= MOST_CLASSES else sorted(label.counts, key=lambda pair: -pair[1])
            words = ", ".join(f"{cell(name)} {count:,}" for name, count in shown[:MOST_CLASSES])
            lines.append(f"{K:,} class{'es' * (K != 1)}: {words}" + ", ..." * (K > MOST_CLASSES))
        elif label.figures:
            lines.append(str(label.figures))
        alike = [f"{self.repeated:,} repeated"] * bool(self.repeated)
        alike += [f"{self.conflicts:,} that contradict another"] * bool(self.conflicts)
        named = [("label", lines[0]), *(("", line) for line in lines[1:])]
        return (*named, *[("rows", ", ".join(alike))] * bool(alike))

    def _display(self) -> Display:
        notes = [
            text
            for finding in self.findings[:MOST_FINDINGS]
            for text in (f"{finding.severity}: {finding.measured}", f"    {finding.change}")
        ]
        if more := len(self.findings) - MOST_FINDINGS:
            notes += [f"and {more:,} more in .findings"] * (more > 0)
        return Display(
            self.title,
            facts=self.facts,
            heading=("column", "kind", "missing", "range", "becomes"),
            rows=[None if c is None else _row(c) for c in ends(self.columns)],
            notes=notes or ["nothing that looks wrong"],
        )


def _row(column: ColumnFacts) -> tuple[str | int | None, ...]:
    return column.name, column.kind, column.missing or None, column.range, column.becomes
