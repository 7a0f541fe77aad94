"""What is in a table, and what looks wrong with it? ``fastmlp.data.audit(table)`` looks, measures, and says.

facts.py        columns and the label as they are
leaks.py        how well a column alone gives the label
relations.py    the columns that do
identifiers.py  the columns that name the rows
numbers.py      numbers that stand for none, cells of another unit
texts.py        numbers and dates as texts, categories in several spellings
same.py         columns that say the same
rows.py         repeated rows, contradictions, order
evidence.py     all of it, measured once for the rules
findings.py     the types: a finding, a rule
of_label.py     what the rules see of the label
of_columns.py   ... of the columns
of_rows.py      ... of the rows
rules.py        every finding in one table: its rule, its words
report.py       an Audit: facts, findings, JSON
call.py         ``audit`` and ``severe``
"""
