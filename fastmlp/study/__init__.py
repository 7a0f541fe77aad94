"""The whole question in one call: ``fastmlp.study.study(data, out)`` writes a report. No name here prints.

experiments.py  which nets are trained
store.py        finished nets on disk
training.py     trains what is missing
measures.py     what is measured beside trainings
evidence.py     figures from nets and measures, as plain data
claims.py       what the thread said, judged on that data
figures.py      SVG (needs matplotlib)
page.py         HTML
run.py          all of it, in order
"""

from __future__ import annotations

from fastmlp.study.experiments import Plan, quick
from fastmlp.study.run import study

__all__ = ["Plan", "quick", "study"]
