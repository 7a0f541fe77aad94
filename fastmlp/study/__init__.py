"""The whole question in one call: ``fastmlp.study.study(data, out)`` writes a report. Nothing here prints.

experiments.py  the nets that are trained
store.py        finished nets on disk
training.py     trains the nets that are missing
measures.py     measurements other than trainings
evidence.py     figures from nets and measurements, as plain data
claims.py       the thread's statements, judged on that data
figures.py      SVG (needs matplotlib)
page.py         HTML
run.py          all of it, in order
"""

from __future__ import annotations

from fastmlp.study.experiments import Plan, quick
from fastmlp.study.run import study

__all__ = ["Plan", "quick", "study"]
