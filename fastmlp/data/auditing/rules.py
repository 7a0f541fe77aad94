"""Every finding of the audit: its code, its rule, why it matters. One table.

To add a finding: a function of the evidence in of_columns.py, of_label.py or of_rows.py, a row in RULES, a
section in docs/audit.md, a test with the fault planted and one without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastmlp.data.auditing import of_columns, of_label, of_rows
from fastmlp.data.auditing.evidence import Evidence
from fastmlp.data.auditing.findings import SEVERITIES, Finding, Rule

RULES = (
    Rule(
        "label-constant", of_label.label_constant,
        "The label has one value in all rows that have one.",
        "There is nothing to learn.",
        "always severe",
    ),
    Rule(
        "label-all-different", of_label.label_all_different,
        "There are over a quarter as many classes as rows.",
        "Such a label names rows, or is a quantity; a class is learnt from several rows.",
        "always severe",
    ),
    Rule(
        "label-copied", of_label.label_copied,
        "Each value of a column goes with one class, and each class with one value; or a column of numbers "
        "and the label correlate by 0.9999, without their ends too.",
        "A net learns to read that column, and knows nothing when it is not there.",
        "always severe",
    ),
    Rule(
        "label-leaked", of_label.label_leaked,
        "A column alone gives the class with skill 0.99, or 0.999 of the variance of numbers (or their "
        "order by 0.9999), each row told from the other rows.",
        "It may be known only after the label is: then the score is too good, and new rows come without it.",
        "severe where no other column has a skill of 0.9, else a warning: the label may be easy to tell",
    ),
    Rule(
        "label-spelled", of_label.label_spelled,
        "Two classes differ in case, in spaces, hyphens and underscores alone.",
        "A net is taught to tell apart what is the same.",
        "always severe",
    ),
    Rule(
        "classes-rare", of_label.classes_rare,
        "A class has fewer than 5 rows.",
        "They are too few to learn it from, and to see whether it is learnt.",
        "always a warning",
    ),
    Rule(
        "classes-imbalanced", of_label.classes_imbalanced,
        "Of the classes with 5 rows at least, one has 10 times as many as another.",
        "Accuracy looks fine while the rare class is lost.",
        "a warning from 100 times on, else a note",
    ),
    Rule(
        "rows-unlabelled", of_label.unlabelled,
        "Rows have no label.",
        "They cannot be learnt from.",
        "a warning from 20% of the rows on, else a note",
    ),
    Rule(
        "rows-repeated", of_rows.rows_repeated,
        "Rows are equal in all columns but those that name rows, far more often than related columns "
        "explain: over 100 times as many pairs as the three most varied columns give by chance.",
        "A copy in the test part was seen in training.",
        "a warning from 1% of the rows on, else a note",
    ),
    Rule(
        "rows-conflicting", of_rows.rows_conflicting,
        "Rows have the same features and different classes, more often than related columns explain.",
        "No net can be right on all of them.",
        "always a warning",
    ),
    Rule(
        "rows-ordered", of_rows.rows_ordered,
        "Rows have the class of the row before in 20% more of them than by chance; or numbers correlate by "
        "0.5 with the row before, both 5 deviations beyond chance.",
        "Neighbours in the file are alike: a part from its end is other data, and drawn test rows have "
        "neighbours in training.",
        "a note where the rows are sorted by the label, else a warning",
    ),
    Rule(
        "identifier", of_columns.identifier,
        "Whole numbers, no two alike, that rise by equal steps or are drawn from a range so narrow that "
        "chance would repeat one; or numbers or texts of which 95% differ, with id, index or the like in "
        "the column's name.",
        "It says nothing about a new row, and a net may learn rows by heart.",
        "always a warning",
    ),
    Rule(
        "texts-different", of_columns.texts_different,
        "Over 90% of the texts of a column differ.",
        "No category is seen twice, and texts are not read.",
        "always a note",
    ),
    Rule(
        "number-as-text", of_columns.numbers_as_text,
        "90% of the texts of a column are numbers, plain or in one unit, 10 different ones at least.",
        "They are taken for texts: categories, or nothing where most differ. Their order is lost.",
        "always a warning",
    ),
    Rule(
        "date-as-text", of_columns.dates_as_text,
        "90% of the texts of a column are dates.",
        "They are taken for texts: categories, or nothing where most differ. Their order is lost.",
        "always a warning",
    ),
    Rule(
        "sentinel", of_columns.sentinel,
        "A repeated number at the edge of a column stands apart from all others: one that people use for "
        "missing cells (-1, 99, -999, ...) by half the width of the others, 0 in up to a quarter of the "
        "cells by 0.4 of it, any other by twice their range; or the only negative number, -1 or the like, "
        "is 3 times as frequent as any other.",
        "It counts as a quantity, and moves the mean and the spread of all others.",
        "always a warning",
    ),
    Rule(
        "outliers", of_columns.outliers,
        "Up to 1% of the cells make the spread 3 times as large, and are no tail of the others: neither a "
        "tail that falls like theirs nor a lognormal one reaches so far.",
        "Standardised by such a spread, all other cells look the same to a net.",
        "always a warning",
    ),
    Rule(
        "spellings", of_columns.spellings,
        "Two categories differ in case, in spaces, hyphens and underscores alone.",
        "One category becomes several inputs.",
        "always a warning",
    ),
    Rule(
        "columns-same", of_columns.same,
        "Columns of numbers correlate by 0.9999, without their ends too; or columns part the rows alike.",
        "They cost time and say nothing more.",
        "always a note",
    ),
    Rule(
        "columns-nothing", of_columns.nothing,
        "A column is empty, or has one value in all rows.",
        "It says nothing.",
        "severe where no other column is there, else a note",
    ),
    Rule(
        "mostly-missing", of_columns.mostly_missing,
        "90% of the cells of a column are missing.",
        "Little can be learnt from the others.",
        "always a note",
    ),
)  # fmt: skip
"""In the order in which they are told where they are equally severe."""


def found_in(evidence: Evidence, rules: Sequence[Rule] = RULES) -> tuple[Finding, ...]:
    """All that the rules find, the worst first."""
    found = [finding for rule in rules for finding in rule.findings(evidence)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
