"""Why does it not train? ``fastmlp.diagnose(X, y, ...)`` measures, watches, tries, and says.

curvature.py   Hessian and Gauss-Newton matrix: products, top eigenvalues
measure.py     of inputs, layers, loss, gradients, curvature: one moment of a net
trials.py      short trainings, watched or with a setting changed
findings.py    from measures to findings; which of them are severe
chance.py      how far guesses are from chance, classes alike
relation.py    whether the labels go with the inputs at all
unlearnt.py    a net at chance that nothing cured: unrelated labels, or cause not found
diagnosis.py   all of it, in order; the verdict
picture.py     a figure of it (needs matplotlib)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from fastmlp.diagnose.call import diagnose
from fastmlp.diagnose.diagnosis import Diagnosis
from fastmlp.diagnose.findings import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]


class _Callable(ModuleType):
    """So that both ``fastmlp.diagnose(X, y)`` and ``fastmlp.diagnose.measure`` are what they look like."""

    def __call__(self, *args: Any, **kwargs: Any) -> Diagnosis:
        return diagnose(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
