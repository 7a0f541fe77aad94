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
    label:     the facts of the label; None where none was asked for.
    inputs:    the number of inputs that a net has of it.
    repeated:  rows whose cells, the label among them, are those of a row before.
    findings:  what looks wrong, the worst first.
    told:      how the table was read, where that is not plain.
    """

    where: str
    rows: int
    columns: tuple[ColumnFacts, ...]
    label: LabelFacts | None
    inputs: int
    repeated: int
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
            "label": None if self.label is None else asdict(self.label) | {"counts": dict(self.label.counts)},
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
        D, beside = len(self.columns), " beside the label" if self.label else ""
        columns = f"{D:,} column{'s' * (D != 1)}{beside}"
        return f"{self.where}: {self.rows:,} rows, {columns} -> {self.inputs:,} inputs"

    def label_lines(self) -> list[str]:
        """The label, in a line, and its classes or its range, in another."""
        if self.label is None:
            return []
        label = self.label
        lines = [f"{label.how.removeprefix('label: ')}; {label.why}"]
        if label.counts:
            K = len(label.counts)
            shown = label.counts if K <= MOST_CLASSES else sorted(label.counts, key=lambda pair: -pair[1])
            words = ", ".join(f"{cell(name)} {count:,}" for name, count in shown[:MOST_CLASSES])
            lines.append(f"{K:,} classes: {words}" + ", ..." * (K > MOST_CLASSES))
        elif label.figures:
            lines.append(str(label.figures))
        return lines

    def _display(self) -> Display:
        notes = [
            text
            for finding in self.findings[:MOST_FINDINGS]
            for text in (f"{finding.severity}: {finding.measured}", f"    {finding.change}")
        ]
        if more := len(self.findings) - MOST_FINDINGS:
            notes += [f"and {more:,} more in .findings"] * (more > 0)
        repeated = (("rows", f"{self.repeated:,} repeat another"),) if self.repeated else ()
        label = tuple(zip(("label", ""), self.label_lines(), strict=False))
        return Display(
            self.title,
            facts=(*label, *repeated),
            heading=("column", "kind", "missing", "range", "becomes"),
            rows=[None if c is None else _row(c) for c in ends(self.columns)],
            notes=notes or ["nothing that looks wrong"],
        )


def _row(column: ColumnFacts) -> tuple[str | int | None, ...]:
    return column.name, column.kind, column.missing or None, column.range, column.becomes
