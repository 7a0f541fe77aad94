"""The models that there are: Sequential, and what a file holds."""

from __future__ import annotations

import os
from typing import Any

from fastmlp.keras import files
from fastmlp.keras.missing import refuse, unknown_names
from fastmlp.keras.sequential import Sequential

__all__ = ["Sequential", "load_model"]

_LOAD = {"custom_objects": None, "safe_mode": True}


def load_model(
    filepath: str | os.PathLike[str], custom_objects: Any = None, compile: bool = True, **others: Any
) -> Sequential:
    """The model of a file that ``save`` wrote, compiled as it was; or of any file of fastmlp's Model.

    Of the latter, scale and mean become part of the first layer, so that it takes the same raw inputs, and
    class k is output number k of the model's classes. Raises ValueError.
    """
    refuse("load_model", {"custom_objects": custom_objects, **others}, _LOAD)
    return files.load(Sequential, filepath, compile)


__getattr__ = unknown_names(__name__, "model", tuple(__all__))
