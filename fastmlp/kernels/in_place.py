"""Predictions for rows of an array: the weights are read where they lie, whatever was done to them.

Nothing of a net is laid out but what a vector would read behind its end; many rows are worth a copy of the
weights, made within the call. A net's places in memory are found once (``Places``); what is computed there is
in in_place_floats.py and in_place_doubles.py. Threads begin where they pay.
"""

from __future__ import annotations

import operator
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import Threads, ThreadTuner, resolve
from fastmlp.fold import folded
from fastmlp.kernels import finite, in_place_doubles, in_place_floats
from fastmlp.kernels.in_place_layers import BYTES, DOUBLES, FLOATS
from fastmlp.kernels.intrinsics import doubles_at, pointer_at
from fastmlp.kernels.jit import kernel
from fastmlp.kernels.layout import plain
from fastmlp.kernels.matmul import WORD
from fastmlp.net import Net

Array = NDArray[Any]

PAYS = 4 * 10**7  # multiplications of a thread: what takes less is done before another would have started
_ROW = 2000  # what is done for a row besides, in multiplications
_STEP = 1 << 28  # multiplications until a thread looks whether it should stop: some ms
_LOOKS = 64  # rows, evenly spread, in which zeros are counted

KINDS = {np.dtype(np.uint8): BYTES, np.dtype(np.float32): FLOATS, np.dtype(np.float64): DOUBLES}
_COMPILED = {np.dtype(np.float32): in_place_floats, np.dtype(np.float64): in_place_doubles}  # of the net
_NOTHING: dict[str, Any] = {}
_0 = np.int64(0)  # not literal: Numba compiles a function anew for that


class Places:
    """The places of a net's arrays, and what is done with them: all that a prediction asks of a net.

    It keeps them alive. D, K, parameters, dtype: the net's. first, cost: multiplications for a row, in the
    first layer and in all. run, plans: the compiled function, and what it follows, by the type of X. stays:
    true where they are the net's own arrays, so that whatever is written into these is seen.
    """

    __slots__ = ("D", "K", "arrays", "cost", "dtype", "first", "parameters", "plans", "run", "stays")

    def __init__(self, net: Net, link: str) -> None:
        bare, pre, self.parameters, self.dtype = (
            folded(net),
            net.preprocessing,
            net.parameters,
            net.parameters.dtype,
        )
        self.D, self.K = net.architecture.inputs, net.architecture.outputs
        sizes = [fan_in * fan_out for fan_in, fan_out in bare.parameters.shapes]
        self.first, self.cost = sizes[0], sum(sizes) + _ROW
        own = [*bare.parameters, *([] if pre.mean is None else [pre.mean])]
        arrays = [np.ascontiguousarray(array, self.dtype) for array in own]
        scale = np.ascontiguousarray(pre.scale, np.float64)
        self.arrays = [*arrays, scale]
        self.stays = bare is net and all(map(operator.is_, own, arrays))
        places, code = [int(array.ctypes.data) for array in self.arrays], _COMPILED[self.dtype]
        mean = 0 if pre.mean is None else places[-2]
        plan = code.plan_of(bare, link, places, mean, places[-1] if pre.by_column else 0)
        self.plans = {dtype: np.array([kind, *plan], np.int64) for dtype, kind in KINDS.items()}
        self.run = code.predict_rows

    def members(self, X: NDArray[Any], most: int) -> int:
        """The threads that pay for so many rows: a row whose inputs are mostly 0 is done sooner."""
        some = X[:: -(-len(X) // _LOOKS)]
        zeros = 1 - np.count_nonzero(some) / some.size
        return min(most, 1 + int(len(X) * (self.cost - zeros * self.first) / PAYS))


_known: WeakKeyDictionary[Net, dict[str, Places]] = WeakKeyDictionary()


def predict(net: Net, X: Any, link: str, threads: Threads = 1, columns: int = 0) -> Array | None:
    """Predictions (N, K), by that link and in the net's numbers, for an array X (N, D), of uint8 or floats.

    threads: the most that are used. columns: 2 for both probabilities of one logistic output. None for all
    else: an X of another type or shape, or that lies otherwise, or is not finite; a net of other numbers.
    """
    if type(X) is not np.ndarray or X.ndim != 2:
        return None
    places = _known.get(net, _NOTHING).get(link)
    if places is None or places.parameters is not net.parameters:
        places = _found(net, link)
        if places is None:
            return None
    plan, (n, D), flags = places.plans.get(X.dtype), X.shape, X.flags
    if plan is None or D != places.D or not n or not flags.c_contiguous:
        return None
    p = np.empty((n, columns or places.K), places.dtype)
    memory = np.frombuffer(X, np.uint8) if flags.behaved else plain(X.reshape(-1)).view(np.uint8)
    if n * places.cost < PAYS:
        return p if places.run(p, memory, plan, 0, n) else None
    members = places.members(X, threads.most if isinstance(threads, ThreadTuner) else resolve(threads))
    step = min(_STEP // places.cost, n // (4 * members)) // WORD * WORD
    good = _shared(lambda lo, hi: places.run(p, memory, plan, lo, hi), n, max(WORD, step), members)
    return p if good else None


def _found(net: Net, link: str) -> Places | None:
    """The places of a net of one number type, remembered where they stay."""
    dtype = net.parameters.dtype
    if dtype not in _COMPILED or any(array.dtype != dtype for array in net.parameters):
        return None
    places = Places(net, link)
    if places.stays:
        _known.setdefault(net, {})[link] = places
    return places


def _shared(work: Callable[[int, int], bool], n: int, step: int, members: int) -> bool:
    """Call ``work(lo, hi)`` for all of n rows, ``step`` at a time, in so many threads; True where all are.

    The calling thread is one of them, and hears Ctrl-C between two steps. It waits for those at work alone:
    one that another program keeps from its core finds nothing to do when it comes.
    """
    begins, failures = iter(range(0, n, step)), list[BaseException | None]()

    def member(lock: Any) -> None:
        with lock:
            try:
                for lo in begins:
                    if failures:
                        return
                    if not work(lo, min(lo + step, n)):
                        failures.append(None)
            except BaseException as failure:  # raised again below, in the calling thread
                failures.append(failure)

    locks = [allocate_lock() for _ in range(members)]
    try:
        with suppress(RuntimeError):  # no room for one more thread
            for lock in locks[1:]:
                start_new_thread(member, (lock,))
        member(locks[0])
    except BaseException as failure:  # Ctrl-C, outside of a step
        failures.append(failure)
    for lock in locks[1:]:
        lock.acquire()
    for problem in failures:
        if problem is not None:
            raise problem
    return not failures


@kernel
def are_finite(places, sizes, doubles):
    """Tell whether all that lies in some places is finite: so many float64, or float32, in each."""
    for i in range(len(places)):
        if doubles:
            good = finite.all_finite64(doubles_at(places[i]), _0, sizes[i])
        else:
            good = finite.all_finite(pointer_at(places[i]), _0, sizes[i])
        if not good:
            return False
    return True
