"""fastmlp: trains small multilayer perceptrons on a CPU, fast.

Names are resolved on first use (PEP 562), so that ``import fastmlp`` costs next to nothing:
neither NumPy nor Numba is loaded before something needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import fastmlp.forks  # noqa: F401  (a fork waits for what follows)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fastmlp import data, keras, kernels, reference, torch
    from fastmlp.config import Architecture, Optimizer, Training
    from fastmlp.engine import EpochResult, History
    from fastmlp.errors import ConfigError, DataError, DivergedError, FastMLPError, ModelError, RunFolderError
    from fastmlp.estimators import MLPClassifier, MLPRegressor  # noqa: F401
    from fastmlp.fitting import fit
    from fastmlp.many import Fitted, fit_many
    from fastmlp.model import Model
    from fastmlp.optimizers import OptimizerState
    from fastmlp.parameters import Parameters, initialise
    from fastmlp.results import Evaluation

_HOMES = {
    "Architecture": "config",
    "ConfigError": "errors",
    "DataError": "errors",
    "DivergedError": "errors",
    "EpochResult": "engine",
    "Evaluation": "results",
    "FastMLPError": "errors",
    "Fitted": "many",
    "History": "engine",
    "Model": "model",
    "ModelError": "errors",
    "Optimizer": "config",
    "OptimizerState": "optimizers",
    "Parameters": "parameters",
    "RunFolderError": "errors",
    "Training": "config",
    "fit": "fitting",
    "fit_many": "many",
    "initialise": "parameters",
}
_EXTRAS = {"MLPClassifier": "estimators", "MLPRegressor": "estimators"}  # not in __all__: need scikit-learn
_MODULES = ("data", "diagnose", "keras", "kernels", "reference", "torch")

__all__ = [
    "Architecture",
    "ConfigError",
    "DataError",
    "DivergedError",
    "EpochResult",
    "Evaluation",
    "FastMLPError",
    "Fitted",
    "History",
    "Model",
    "ModelError",
    "Optimizer",
    "OptimizerState",
    "Parameters",
    "RunFolderError",
    "Training",
    "__version__",
    "data",
    "diagnose",
    "fit",
    "fit_many",
    "initialise",
    "keras",
    "kernels",
    "reference",
    "torch",
]


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name) or _EXTRAS.get(name):
        value = getattr(importlib.import_module(f"fastmlp.{home}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"fastmlp.{name}")
    else:
        raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_EXTRAS})
