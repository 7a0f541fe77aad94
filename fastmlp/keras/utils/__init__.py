"""``to_categorical`` and ``set_random_seed``."""

from fastmlp.keras.missing import unknown_names
from fastmlp.keras.seeds import set_random_seed
from fastmlp.keras.utils import np_utils
from fastmlp.keras.utils.np_utils import to_categorical

__all__ = ["np_utils", "set_random_seed", "to_categorical"]

__getattr__ = unknown_names(__name__, "utility", tuple(__all__))
