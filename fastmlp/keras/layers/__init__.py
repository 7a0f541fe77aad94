"""The layers that there are; another name raises MissingError, which says it."""

from fastmlp.keras.layers import core
from fastmlp.keras.layers.core import Activation, Dense, Input, InputLayer, Layer
from fastmlp.keras.missing import unknown_names

__all__ = ["Activation", "Dense", "Input", "InputLayer", "Layer", "core"]

__getattr__ = unknown_names(__name__, "layer", ("Activation", "Dense", "Input"))
