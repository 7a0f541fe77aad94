"""The models that there are: Sequential, and what a file holds."""

from fastmlp.keras.files import load_model
from fastmlp.keras.missing import unknown_names
from fastmlp.keras.sequential import Sequential

__all__ = ["Sequential", "load_model"]

__getattr__ = unknown_names(__name__, "model", tuple(__all__))
