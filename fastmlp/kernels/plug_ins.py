"""Plug-ins: functions that compiled code calls by their address, each compiled by itself when it is wanted.

The entries of the tables of activations, losses and optimizers are plug-ins. The loops of epoch.py are
compiled without any of them, once for all nets, and know those of a net by numbers in its Job, their places:
who uses five words waits for these five alone. Plug-ins are kept in files as kernels are.

A *kind* is a signature that all entries of a table have; ``caller`` makes the function that calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import typeof
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing import signature

from fastmlp.kernels import jit
from fastmlp.kernels.intrinsics import addressed, with_twin

NOTHING = types.none
FLOAT, FLOATS = types.float32, types.CPointer(types.float32)  # type: ignore[attr-defined]
DOUBLE, DOUBLES = types.float64, types.CPointer(types.float64)  # type: ignore[attr-defined]
INT, INTS = types.int64, types.CPointer(types.int64)  # type: ignore[attr-defined]
BOOL = types.boolean

_wanted: list[Callable[..., Any]] = [lambda: None]  # the functions with a place, where nothing is compiled


PLUG_INS: list[PlugIn] = []
"""All that the modules which are loaded have made."""


def kind(result, *arguments):
    """A signature: types like those above, a tuple of some as a result, or an example of a struct."""
    found = [addressed(typeof(each)) if isinstance(each, tuple) else each for each in arguments]
    returned = types.BaseTuple.from_types(result) if isinstance(result, tuple) else result
    return signature(returned, *found)


class PlugIn:
    """A function of that kind. It must not raise, and has a name of its own among all plug-ins.

    function: what ``jit.device`` could be of; it may close over others. apart: what it writes by one pointer
    it does not read or write by another, so that its loops fill vectors without looking first.
    """

    def __init__(self, name: str, function: Callable[..., Any], kind: Any, *, apart: bool = False) -> None:
        self.name, self.function, self.kind, self._apart = name, function, kind, apart
        self._place, self._code = 0, None
        PLUG_INS.append(self)

    @property
    def place(self) -> int:
        """The number by which compiled code calls it, in this process; never 0.

        Whoever asks first waits until it is compiled, or loaded.
        """
        if not self._place:
            with global_compiler_lock:  # one thread at a time, and forks wait for it
                self._place = self._place or (self._compiled() if jit.COMPILED else _numbered(self.function))
        return self._place

    def _compiled(self) -> int:
        self._code = jit.separate(self.function, self.name, self._apart)  # lives as long as this does
        return jit.address_of(self._code, self.kind)


def _numbered(function: Callable[..., Any]) -> int:
    _wanted.append(function)
    return len(_wanted) - 1


def caller(kind: Any) -> Any:
    """The function that calls a plug-in of that kind, in compiled code: call(place, *arguments)."""

    @with_twin(lambda place, *arguments: _wanted[place](*arguments))
    def call(typingctx, place, *arguments):
        if place != types.int64 or arguments != kind.args:
            return None

        def codegen(context, builder, signature, args):
            function = context.call_conv.get_function_type(kind.return_type, kind.args).as_pointer()
            callee, values = builder.inttoptr(args[0], function), cgutils.unpack_tuple(builder, args[1])
            return context.call_conv.call_function(builder, callee, kind.return_type, kind.args, values)[1]

        return kind.return_type(place, types.StarArgTuple(arguments)), codegen

    return call
