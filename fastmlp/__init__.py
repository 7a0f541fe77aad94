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
    from fastmlp.backends.state import OptimizerState
    from fastmlp.backends.types import Evaluation
    from fastmlp.diagnosis.call import diagnose
    from fastmlp.errors import ConfigError, DataError, DivergedError, FastMLPError, ModelError, RunFolderError
    from fastmlp.estimators import MLPClassifier, MLPRegressor  # noqa: F401
    from fastmlp.model import Model
    from fastmlp.net import Net, Parameters, Preprocessing, initialise
    from fastmlp.runs import load
    from fastmlp.spec import Training
    from fastmlp.target_scale import TargetScale
    from fastmlp.train.fit import fit
    from fastmlp.train.fit_many import Fitted, fit_many
    from fastmlp.train.loop import EpochResult, History
    from fastmlp.words.layers import Architecture, BatchNorm, Layer
    from fastmlp.words.optimizers import Optimizer

_HOMES = {
    "Architecture": "words.layers",
    "BatchNorm": "words.layers",
    "ConfigError": "errors",
    "DataError": "errors",
    "DivergedError": "errors",
    "EpochResult": "train.loop",
    "Evaluation": "backends.types",
    "FastMLPError": "errors",
    "Fitted": "train.fit_many",
    "History": "train.loop",
    "Model": "model",
    "ModelError": "errors",
    "Layer": "words.layers",
    "Net": "net",
    "Optimizer": "words.optimizers",
    "OptimizerState": "backends.state",
    "Parameters": "net",
    "Preprocessing": "net",
    "RunFolderError": "errors",
    "TargetScale": "target_scale",
    "Training": "spec",
    "diagnose": "diagnosis.call",
    "fit": "train.fit",
    "fit_many": "train.fit_many",
    "initialise": "net",
    "load": "runs",
}
_EXTRAS = {"MLPClassifier": "estimators", "MLPRegressor": "estimators"}  # not in __all__: need scikit-learn
_MODULES = ("data", "keras", "kernels", "reference", "torch")

__all__ = [
    "Architecture",
    "BatchNorm",
    "ConfigError",
    "DataError",
    "DivergedError",
    "EpochResult",
    "Evaluation",
    "FastMLPError",
    "Fitted",
    "History",
    "Layer",
    "Model",
    "ModelError",
    "Net",
    "Optimizer",
    "OptimizerState",
    "Parameters",
    "Preprocessing",
    "RunFolderError",
    "TargetScale",
    "Training",
    "__version__",
    "data",
    "diagnose",
    "fit",
    "fit_many",
    "initialise",
    "keras",
    "kernels",
    "load",
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
