"""A fitted estimator's net, kept from one prediction to the next while nothing of it has changed.

Its arrays are looked at each time: they may be replaced, or written into. Nothing is kept in the estimator
itself, so that copies, pickles and clones know nothing of it.
"""

from __future__ import annotations

import operator
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from fastmlp.checks import as_list
from fastmlp.estimators.precision import backend_for
from fastmlp.net import Net, Parameters

_LISTS = ("coefs_", "intercepts_", "norms_", "activation", "batch_norm")  # in which others may put something


class Ready(NamedTuple):
    """A net, and the backend that computes it.

    attributes: the estimator's, by which they were made. items: those of its lists. forms: how these lay.
    """

    net: Net
    nn: ModuleType
    attributes: dict[str, Any]
    items: list[Any]
    forms: list[Any]


_known: WeakKeyDictionary[Any, Ready] = WeakKeyDictionary()


def ready(estimator: Any) -> Ready:
    """Return the net of an estimator that is fitted, or was given its weights. Raises ModelError."""
    found, attributes = _known.get(estimator), vars(estimator)
    if found is not None and _is_same(found, attributes) and found.net.parameters.finite:
        return found
    parameters: Parameters = estimator._parameters()
    net, items = estimator._net(parameters), _items_of(attributes)
    nn = backend_for(net, estimator._loss())
    found = Ready(net, nn, dict(attributes), items, _forms_of(items))
    arrays = [*parameters.weights, *parameters.biases]
    if all(map(operator.is_, arrays, items)):  # else they are copies: others would not be seen to change
        _known[estimator] = found
    return found


def _is_same(found: Ready, attributes: dict[str, Any]) -> bool:
    """Tell whether every attribute, and every item of its lists, is the very object that it was."""
    before = found.attributes
    if len(before) != len(attributes) or not all(map(operator.is_, before.values(), attributes.values())):
        return False
    items = _items_of(attributes)
    same = len(items) == len(found.items) and all(map(operator.is_, items, found.items))
    return same and _forms_of(items) == found.forms


def _items_of(attributes: dict[str, Any]) -> list[Any]:
    return [item for name in _LISTS for item in as_list(attributes.get(name)) or ()]


def _forms_of(items: list[Any]) -> list[Any]:
    """How arrays lie: whoever sets their shape, say, leaves them the same objects."""
    return [(item.shape, item.strides, item.dtype) for item in items if isinstance(item, np.ndarray)]
