"""An estimator's weights, from attributes that a program may have set: checked against all else.

Weights that do not fit the outputs' meaning would give outputs all the same, and wrong ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import as_list, shown
from fastmlp.errors import ModelError
from fastmlp.net import Norm, Parameters


def parameters_of(estimator: Any, outputs: int | None, meaning: str) -> Parameters:
    """coefs_, intercepts_ and norms_ in one number type: float32 if the first is float32, else float64.

    outputs: how many the last layer must have, by the attribute ``meaning``; None if not known yet. The
    arrays are the estimator's own, where they are in that type already. Raises ModelError.
    """
    coefs, intercepts = (_listed(estimator, name) for name in ("coefs_", "intercepts_"))
    dtype = np.float32 if coefs[0].dtype == np.float32 else np.float64
    parameters = Parameters(
        tuple(np.ascontiguousarray(W, dtype) for W in coefs),
        tuple(np.ascontiguousarray(b, dtype) for b in intercepts),
    )
    parameters = replace(parameters, norms=_norms(estimator, len(coefs) - 1, dtype))
    if not parameters.finite:
        names = "coefs_, intercepts_ and norms_" if any(parameters.norms) else "coefs_ and intercepts_"
        raise ModelError(f"{names} must be finite", "nan or infinity")
    inputs, last = parameters.shapes[0][0], parameters.shapes[-1][1]
    wanted = getattr(estimator, "n_features_in_", inputs)
    if inputs != wanted:
        raise ModelError(f"coefs_[0] must have {wanted} rows, one for each of n_features_in_", inputs)
    if outputs not in (None, last):
        told = shown(np.asarray(getattr(estimator, meaning)).tolist())
        columns = "1 column, by" if outputs == 1 else f"{outputs} columns, one for each of"
        raise ModelError(f"coefs_[-1] must have {columns} {meaning}, {told}", last)
    _check("n_layers_", estimator, len(coefs) + 1)
    _check("n_outputs_", estimator, last)
    if (link := estimator._link()) not in estimator._links:
        raise ModelError(f"out_activation_ must be {' or '.join(estimator._links)}", shown(link))
    return parameters


def _listed(estimator: Any, name: str) -> list[NDArray[Any]]:
    given = as_list(getattr(estimator, name, None))
    if not given:
        raise ModelError(f"{name} must be a list of arrays, one for each layer", shown(given))
    arrays = []
    for layer, item in enumerate(given):
        try:
            array = np.asarray(item)
        except ValueError:  # rows of different lengths
            array = np.empty(0, object)
        if array.dtype.kind not in "buif":
            raise ModelError(f"{name}[{layer}] must be an array of numbers", f"dtype {array.dtype}")
        arrays.append(array)
    return arrays


def _norms(estimator: Any, hidden: int, dtype: Any) -> tuple[Norm | None, ...]:
    """norms_, where there are any, as the estimator's own arrays where they are in that type already."""
    given = getattr(estimator, "norms_", [None] * hidden)
    listed = as_list(given)
    if (
        listed is None
        or len(listed) != hidden
        or not all(norm is None or isinstance(norm, Norm) for norm in listed)
    ):
        raise ModelError("norms_ must be a list of a Norm or None for each hidden layer", shown(given))
    norms = [norm and Norm(*(np.ascontiguousarray(array, dtype) for array in norm)) for norm in listed]
    if any((norm.variance < 0).any() for norm in norms if norm):
        raise ModelError("the variance of each of norms_ must be 0 or more", "less")
    return tuple(norms)


def _check(name: str, estimator: Any, must: Any) -> None:
    """Raise ModelError unless the attribute, if it is there, is what the net is."""
    got = getattr(estimator, name, must)
    if got != must:
        raise ModelError(f"{name} must be {must!r}, as the net is", repr(got))
