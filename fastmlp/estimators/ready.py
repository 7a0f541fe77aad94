"""A fitted estimator's net, kept from one prediction to the next while nothing of it has changed.

Its weights are looked at each time: arrays may be replaced, or written into. Nothing is kept in the estimator
itself, so that copies, pickles and clones know nothing of it.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_list
from fastmlp.model import load_backend
from fastmlp.net import Net, Parameters

_LISTS = ("coefs_", "intercepts_", "norms_", "activation", "batch_norm")  # in which others may put something


class Ready(NamedTuple):
    """A net.

    attributes: the estimator's, by which it was made. items: those of its lists. forms: how these lay.
    places, sizes: where its numbers lie, and how many.
    """

    net: Net
    attributes: dict[str, Any]
    items: list[Any]
    forms: list[Any]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def is_same(self, attributes: dict[str, Any]) -> bool:
        """Tell whether every attribute, and every item of its lists, is the very object that it was."""
        before = self.attributes
        if len(before) != len(attributes) or not all(map(operator.is_, before.values(), attributes.values())):
            return False
        items = _items_of(attributes)
        same = len(items) == len(self.items) and all(map(operator.is_, items, self.items))
        return same and _forms_of(items) == self.forms

    def is_finite(self) -> bool:
        """Tell whether its weights are, as they are now."""
        doubles = self.net.parameters.dtype == np.float64
        return bool(load_backend("numba").are_finite(self.places, self.sizes, doubles))


_known: WeakKeyDictionary[Any, Ready] = WeakKeyDictionary()


def net_of(estimator: Any) -> Net:
    """Return the net of an estimator that is fitted, or was given its weights. Raises ModelError."""
    found, attributes = _known.get(estimator), vars(estimator)
    if found is not None and found.is_same(attributes) and found.is_finite():
        return found.net
    parameters: Parameters = estimator._parameters()
    net: Net = estimator._net(parameters)
    items, arrays = _items_of(attributes), [*parameters.weights, *parameters.biases]
    if all(map(operator.is_, arrays, items)):  # else they are copies: others would not be seen to change
        everything = [*parameters]
        places = np.array([array.ctypes.data for array in everything], np.int64)
        sizes = np.array([array.size for array in everything], np.int64)
        _known[estimator] = Ready(net, dict(attributes), items, _forms_of(items), places, sizes)
    return net


def _items_of(attributes: dict[str, Any]) -> list[Any]:
    return [item for name in _LISTS for item in as_list(attributes.get(name)) or ()]


def _forms_of(items: list[Any]) -> list[Any]:
    """Return how arrays lie: whoever sets their shape, say, leaves them the same objects."""
    return [(item.shape, item.strides, item.dtype) for item in items if isinstance(item, np.ndarray)]
