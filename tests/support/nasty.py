"""Values that no argument is meant to get, and calls with one of them in the place of each argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from fastmlp.errors import FastMLPError


class Raises:
    """Whatever it is asked, it raises; even how it looks."""

    def _raise(self, *_: object) -> Any:
        raise KeyError("asked")

    __float__ = __index__ = __int__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = _raise
    __fspath__ = __array__ = __getitem__ = __contains__ = __lt__ = __le__ = _raise
    ndim = property(_raise)


class Text(str):
    """A text whose methods lie."""

    def __str__(self) -> str:
        return "relu"

    def __repr__(self) -> str:
        raise KeyError("asked")


class Sink:
    """May be called with anything."""

    def __init__(self, *_: object) -> None:
        pass


VALUES: dict[str, Any] = {
    "10**400": 10**400,
    "-10**400": -(10**400),
    "10**5000": 10**5000,
    "-1": -1,
    "nan": float("nan"),
    "inf": float("inf"),
    "None": None,
    "no text": "",
    "long text": "x" * 5000,
    "NUL": "a\0b",
    "surrogate": "\udcff\ud800",
    "no user": "~nosuchuser/x",
    "bytes": b"x",
    "bytearray": bytearray(b"1.5"),
    "no list": [],
    "list of a list": [[]],
    "ragged": [[1.0], [1.0, 2.0]],
    "list of an integer": [10**5000],
    "dict": {},
    "set": {1},
    "object": object(),
    "array": np.array([1, 2]),
    "0-d array": np.array(1),
    "0-d text": np.array("1"),
    "object array": np.array([None, {}], object),
    "float32 nan": np.float32("nan"),
    "datetime64": np.datetime64("2020-01-01"),
    "Decimal nan": Decimal("NaN"),
    "Decimal snan": Decimal("sNaN"),
    "Fraction": Fraction(1, 3),
    "1j": 1j,
    "complex64": np.complex64(1),
    "True": True,
    "raises": Raises(),
    "Text": Text("sgd"),
    "class": Sink,
    "module": np,
    "function": lambda *_: 0,
}


def calls(
    function: Callable[..., Any], arguments: dict[str, Any], skip: tuple[str, ...] = ()
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """For each parameter of ``function`` and each value, what it is called, and the call.

    ``arguments``: of a call that works, by name; what has no default must be there.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name in skip:
            continue
        for told, value in VALUES.items():
            yield f"{name} = {told}", _bound(function, parameter, arguments, value)


def _bound(
    function: Callable[..., Any], parameter: inspect.Parameter, arguments: dict[str, Any], value: Any
) -> Callable[[], Any]:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return lambda: function(value, **arguments)
    return lambda: function(**{**arguments, parameter.name: value})


def said_in_a_line(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The value of a call; None where it raises an error of ours, which must be of one line."""
    try:
        return function(*args, **options)
    except FastMLPError as problem:
        said = str(problem)
    assert "\n" not in said
    return None
