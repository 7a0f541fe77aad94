"""fastmlp in Keras' words: programs for small nets of Dense layers run with their import lines changed.

    from fastmlp.keras.models import Sequential
    from fastmlp.keras.layers import Dense

Neither Keras nor TensorFlow is needed. It is Sequential, Dense and Activation, two cross-entropies, SGD and
Adam, the accuracy, and a few callbacks; every other word raises MissingError, which names it.

models.py, layers/, losses.py, optimizers.py, callbacks.py, utils/, datasets/: the words
sequential.py   the model that trains; stack.py: its layers and weights; compiled.py: what compile was told
network.py      from layers to what the engine trains
arrays.py       x and y, checked; checks.py: the words' other values
progress.py     what a fit prints
files.py        what save and load_model write and read; summary.py: the table
missing.py      the error for what only Keras has; settled.py: attributes that would have no effect
"""

from fastmlp.keras import callbacks, datasets, layers, losses, models, optimizers, utils
from fastmlp.keras.layers import Input
from fastmlp.keras.missing import MissingError, unknown_names
from fastmlp.keras.models import Sequential

__all__ = [
    "Input",
    "MissingError",
    "Sequential",
    "callbacks",
    "datasets",
    "layers",
    "losses",
    "models",
    "optimizers",
    "utils",
]

__getattr__ = unknown_names(__name__, "name", tuple(__all__))
