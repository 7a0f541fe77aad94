"""fastmlp: trains small multilayer perceptrons on a CPU, fast, and says why one does not train.

Names are resolved on first use (PEP 562), so that ``import fastmlp`` costs next to nothing:
neither NumPy nor Numba is loaded before something needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
