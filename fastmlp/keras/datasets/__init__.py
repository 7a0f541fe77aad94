"""The data sets that there are: MNIST."""

from fastmlp.keras.datasets import mnist
from fastmlp.keras.missing import unknown_names

__all__ = ["mnist"]

__getattr__ = unknown_names(__name__, "data set", tuple(__all__))
