"""Predictions for rows of an array: the weights are read where they lie, whatever was done to them.

Nothing of a net is laid out but what a vector would read behind its end; many rows are worth a copy of the
weights, made within the call. A net's places in memory are found once (``_Places``). Sums have the order of
first_layer.py and matmul.py: the outputs of a row have the bytes of a whole pass, whoever its neighbours are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.threads import Threads, ThreadTuner, available_cores, resolve, start
from fastmlp.fold import folded
from fastmlp.kernels.activations import activate
from fastmlp.kernels.first_layer import fill
from fastmlp.kernels.intrinsics import (
    address,
    bits_float,
    count_ones,
    float_bits,
    not_zero,
    pointer_at,
    prefetch,
    shifted,
)
from fastmlp.kernels.jit import device, kernel
from fastmlp.kernels.layout import acts_of, middle_of, plain
from fastmlp.kernels.losses import LINKS, predictions
from fastmlp.kernels.matmul import WORD, add_coded, matmul, padded_vectors
from fastmlp.kernels.simd import LANES, WIDEST, Coded, Matrix
from fastmlp.net import Net

MANY = 64  # rows of a call that are worth a copy of all weights
FEW = 4  # rows: so many fill a tile
BRIEF = 2 * 10**7  # multiplications of a call: what a second thread would need to start
_STEP = 1 << 26  # multiplications that a thread does before it looks whether it should stop: some ms

_KIND, _DEPTH, _INPUTS, _MIDDLE, _LINK, _PREPARED, _CENTRED, _BY_COLUMN, _WIDE = range(9)
_LAYERS = 9  # where the layers' parts begin
_FAN_IN, _FAN_OUT, _W, _B, _STRIDE, _VECTORS, _PADDED, _WITHIN, _ACT, _NUMBER = range(10)
_EACH = 10  # parts of a layer
_BYTES, _FLOATS, _DOUBLES = range(3)
_KINDS = {np.dtype(np.uint8): _BYTES, np.dtype(np.float32): _FLOATS, np.dtype(np.float64): _DOUBLES}

_0, _1, _WORD = np.int64(0), np.int64(1), np.int64(WORD)
_ZERO, _ONE = np.float32(0), np.float32(1)
_NO_BITS, _ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_NO = np.bool_(False)
_MAGNITUDE, _INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of a float32's bits


class _Places:
    """Where a net's arrays lie, and what is done with them: all that ``predict`` asks of a net.

    It keeps the arrays alive. plans: by the type of X, what ``predict_rows`` takes.
    """

    __slots__ = ("D", "K", "arrays", "cost", "parameters", "plans")

    def __init__(self, net: Net, link: str) -> None:
        plain_net = folded(net)
        self.parameters = net.parameters
        self.D, self.K = net.architecture.inputs, net.architecture.outputs
        self.cost = sum(fan_in * fan_out for fan_in, fan_out in net.parameters.shapes)
        arrays = [np.ascontiguousarray(array, np.float32) for array in plain_net.parameters]
        prepared = _prepared(net)
        self.arrays = [*arrays, prepared]
        acts, numbers = acts_of(plain_net)
        layers = []
        for i, (fan_in, fan_out) in enumerate(plain_net.parameters.shapes):
            W, b = arrays[2 * i : 2 * i + 2]
            vectors = -(-fan_out // LANES)
            padded = padded_vectors(vectors) if i == 0 else vectors
            stride = -(-padded * LANES // WIDEST) * WIDEST
            within = max(0, fan_in - -(-padded * LANES // fan_out) + 1) // WORD * WORD
            act = (int(acts[i]), int(numbers[i : i + 1].view(np.int32)[0])) if i < len(acts) else (0, 0)
            layers += [fan_in, fan_out, W.ctypes.data, b.ctypes.data, stride, vectors, padded, within, *act]
        wide = max(layers[_STRIDE::_EACH])
        pre = net.preprocessing
        head = [
            0, len(arrays) // 2, self.D, middle_of(self.D), LINKS[link].place, prepared.ctypes.data,
            pre.mean is not None, pre.by_column, wide,
        ]  # fmt: skip
        self.plans = {dtype: np.array([kind, *head[1:], *layers], np.int64) for dtype, kind in _KINDS.items()}


def _prepared(net: Net) -> NDArray[np.float32]:
    """The factor of the inputs, their means times it, and their columns' scales: see layout.Rows."""
    scale, mean, by_column = net.preprocessing.scale, net.preprocessing.mean, net.preprocessing.by_column
    factor = np.float32(1 if by_column else 1 / scale)
    parts: list[Any] = [[factor]]
    if mean is not None or by_column:
        D = net.architecture.inputs
        parts.append(np.zeros(D, np.float32) if mean is None else np.asarray(mean, np.float32) * factor)
    if by_column:
        parts.append(1 / scale)
    return np.concatenate(parts).astype(np.float32)


_known: WeakKeyDictionary[Net, dict[tuple[str, int], _Places]] = WeakKeyDictionary()


def predict(net: Net, X: Any, link: str, threads: Threads = 1, columns: int = 0) -> NDArray[np.float32] | None:
    """Predictions (N, K), by that link, for an array X (N, D) of uint8, float32 or float64.

    columns: 2 for both probabilities of one logistic output. None for all else: other types, nets of other
    numbers, values that are not finite.
    """
    if type(X) is not np.ndarray or X.ndim != 2:
        return None
    found = _known.get(net)
    places = None if found is None else found.get(link)
    if places is None or places.parameters is not net.parameters:
        places = _found(net, link)
        if places is None:
            return None
    plan, (n, D), flags = places.plans.get(X.dtype), X.shape, X.flags
    if plan is None or D != places.D or not n or not flags.c_contiguous:
        return None
    p = np.empty((n, columns or places.K), np.float32)
    memory = np.frombuffer(X, np.uint8) if flags.behaved else plain(X.reshape(-1)).view(np.uint8)
    work = n * places.cost
    if work <= BRIEF:
        return p if predict_rows(p, memory, plan, 0, n) else None
    most = threads.most if isinstance(threads, ThreadTuner) else resolve(threads)
    members = max(1, min(most, available_cores(), work // BRIEF))
    step = max(WORD, min(_STEP // places.cost, n // (4 * members)) // WORD * WORD)
    return p if _shared(lambda lo, hi: predict_rows(p, memory, plan, lo, hi), n, step, members) else None


def _found(net: Net, link: str) -> _Places | None:
    """The places of a net, kept where they stay the same; None where it is not of float32."""
    parameters = net.parameters
    if not all(array.dtype == np.float32 for array in parameters):
        return None
    places = _Places(net, link)
    if not net.architecture.normalises and all(array.flags.c_contiguous for array in parameters):
        _known.setdefault(net, {})[link] = places
    return places


def _shared(work: Callable[[int, int], bool], n: int, step: int, members: int) -> bool:
    """Call ``work(lo, hi)`` for all of n rows, ``step`` at a time, in so many threads; True where all are.

    The calling thread is one of them: it hears Ctrl-C between two steps.
    """
    begins, failures = iter(range(0, n, step)), list[BaseException | None]()

    def member() -> None:
        try:
            for lo in begins:
                if failures:
                    return
                if not work(lo, min(lo + step, n)):
                    failures.append(None)
        except BaseException as failure:  # raised again below, in the caller's thread
            failures.append(failure)

    others = [threading.Thread(target=member, name=f"fastmlp-{m}", daemon=True) for m in range(1, members)]
    for thread in others:
        start(thread)
    member()
    for thread in others:
        thread.join()
    for failure in failures:
        if failure is not None:
            raise failure
    return not failures


@kernel
def predict_rows(p, x, plan, lo, hi):
    """Rows lo..hi - 1 of p, of those of X, whose bytes x are; returns whether all their values are finite."""
    depth, D, wide, K = plan[_DEPTH], plan[_INPUTS], plan[_WIDE], p.shape[1]
    link, block = plan[_LINK], min(WORD, hi - lo)
    copied = _0
    for at in range(_LAYERS, _LAYERS + _EACH * depth, _EACH):
        copied += (plan[at + _FAN_IN] + 1 - begin_of(plan, at, hi - lo)) * plan[at + _STRIDE]
    outputs = plan[_LAYERS + _EACH * (depth - 1) + _FAN_OUT]
    rows = 2 * block * wide
    room = np.empty(rows + (WORD + 1) * WORD + (outputs + 3) * block + copied + 16, np.float32)
    bits = np.empty(WORD + 2, np.uint64)  # two more are read than are used
    masks = address(bits)
    memory = shifted(address(room), (64 - room.ctypes.data % 64) % 64 // 4)
    acts, after = memory, shifted(memory, block * wide)
    inputs = shifted(memory, rows)
    copies = shifted(inputs, (WORD + 1) * WORD)
    columns = shifted(copies, copied)
    copy_layers(copies, plan, hi - lo)
    for begin in range(lo, hi, WORD):
        n = min(WORD, hi - begin)
        if not first_layer(acts, after, inputs, masks, copies, x, plan, begin, n, hi - lo):
            return False
        at, copy = _LAYERS, copies
        for _ in range(depth - 1):
            stride, place = plan[at + _STRIDE], plan[at + _ACT]
            number = bits_float(np.int32(plan[at + _NUMBER]))
            activate(place, acts, inputs, n * stride, number)
            copy = shifted(copy, (plan[at + _FAN_IN] + 1 - begin_of(plan, at, hi - lo)) * stride)
            at += _EACH
            next_layer(after, acts, stride, n, copy, plan, at, hi - lo)
            acts, after = after, acts
        out = shifted(address(p), begin * K)
        if K == outputs:
            predictions(link, out, acts, plan[at + _STRIDE], outputs, columns, block, n)
        else:  # both of one output
            predictions(link, inputs, acts, plan[at + _STRIDE], outputs, columns, block, n)
            for b in range(n):
                out[2 * b], out[2 * b + 1] = _ONE - inputs[b], inputs[b]
    return len(room) > 0 and len(bits) > 0  # both live until here: of addresses Numba keeps no count


@device
def begin_of(plan, at, rows):
    """The first row of a layer's weights that is copied for so many rows of X."""
    return plan[at + _WITHIN] if rows < MANY else _0


@device
def copy_layers(copies, plan, rows):
    """Of each layer the rows from ``begin_of`` on, then its bias, padded with zeros."""
    to = _0
    for layer in range(plan[_DEPTH]):
        at = _LAYERS + _EACH * layer
        fan_in, fan_out, stride = plan[at + _FAN_IN], plan[at + _FAN_OUT], plan[at + _STRIDE]
        W, b = pointer_at(plan[at + _W]), pointer_at(plan[at + _B])
        for i in range(begin_of(plan, at, rows), fan_in):
            for k in range(fan_out):
                copies[to + k] = W[i * fan_out + k]
            for k in range(fan_out, stride):
                copies[to + k] = _ZERO
            to += stride
        for k in range(fan_out):
            copies[to + k] = b[k] + _ZERO  # no -0, which would stay where nothing is added
        for k in range(fan_out, stride):
            copies[to + k] = _ZERO
        to += stride


@device
def weights_from(copy, plan, at, i, rows):
    """A layer's weights from row i on, a multiple of WORD, to the end of its word at least."""
    begin, fan_out, stride = begin_of(plan, at, rows), plan[at + _FAN_OUT], plan[at + _STRIDE]
    if i < begin:
        return Matrix(pointer_at(plan[at + _W]), i * fan_out, fan_out, _1)
    return Matrix(copy, (i - begin) * stride, stride, _1)


@device
def bias_of(copy, plan, at, rows):
    """A layer's bias."""
    return shifted(copy, (plan[at + _FAN_IN] - begin_of(plan, at, rows)) * plan[at + _STRIDE])


@device
def next_layer(out, inputs, step, n, copy, plan, at, rows):
    """The sums of a layer, of n rows of inputs that are ``step`` apart."""
    fan_in, stride, vectors = plan[at + _FAN_IN], plan[at + _STRIDE], plan[at + _VECTORS]
    target = Matrix(out, _0, stride, _1)
    base = Matrix(bias_of(copy, plan, at, rows), _0, _0, _1)
    for first in range(0, fan_in, WORD):
        terms, weights = min(WORD, fan_in - first), weights_from(copy, plan, at, first, rows)
        matmul(target, base, _ONE, Matrix(inputs, first, step, _1), n, weights, terms, _WORD, vectors)
        base = target


@device
def first_layer(out, other, inputs, masks, copy, x, plan, begin, n, rows):
    """The sums of the first layer, of n rows of X; returns whether these are finite.

    As in first_layer.py, a sum over the first half of the inputs, and one over the second and the bias. Of
    each word the inputs that are not 0 are walked, or all of them, whichever is sooner.
    """
    at, D, middle = np.int64(_LAYERS), plan[_INPUTS], plan[_MIDDLE]
    stride, bias = plan[at + _STRIDE], bias_of(copy, plan, at, rows)
    halved, target, step = middle < D, out, min(D, _WORD)
    if halved:
        for j in range(n * stride):
            out[j] = _ZERO
        target = other
    fill(target, n, bias, stride)
    target = out
    for first in range(0, D, WORD):
        width = min(_WORD, D - first)
        if not take_word(inputs, x, plan, begin, n, first, width):
            return False
        if halved and first >= middle:
            target = other
        weights, sums = weights_from(copy, plan, at, first, rows), Matrix(target, _0, stride, _1)
        given = Matrix(inputs, _0, step, _1)
        if n < FEW or 2 * mark(masks, inputs, n, step, width) < n * width:
            if n < FEW:
                mark(masks, inputs, n, step, width)
            add_coded(
                sums, _ALL, bias, _ONE, Coded(inputs, given, masks), n, weights, plan[at + _PADDED], _NO
            )
        else:
            matmul(sums, sums, _ONE, given, n, weights, width, _WORD, plan[at + _VECTORS])
    if halved:
        for j in range(n * stride):
            out[j] += other[j]
    return True


@device
def take_word(inputs, x, plan, begin, n, first, width):
    """Inputs first.. of n rows of X into ``inputs`` (n, WORD), or (n, D) where that is less.

    Returns whether these values are finite.
    """
    D, kind, prepared = plan[_INPUTS], plan[_KIND], pointer_at(plan[_PREPARED])
    factor, centred, by_column = prepared[0], plan[_CENTRED] != 0, plan[_BY_COLUMN] != 0
    means, scales = shifted(prepared, 1 + first), shifted(prepared, 1 + D + first)
    bits, runs, size = np.int32(0), n, width
    if D <= WORD:
        runs, size = _1, n * D
    for b in range(runs):
        start, to = (begin + b) * D + first, shifted(inputs, b * WORD)
        if kind == _BYTES:
            codes = shifted(address(x), start)
            prefetch(codes, WORD * D)
            for j in range(size):
                to[j] = np.float32(codes[j]) * factor
        elif kind == _FLOATS:
            bits = max(bits, take(to, shifted(address(x.view(np.float32)), start), size, factor))
        else:
            bits = max(bits, take(to, shifted(address(x.view(np.float64)), start), size, factor))
    if centred or by_column:
        for b in range(n):
            to = shifted(inputs, b * min(D, _WORD))
            if centred:
                for j in range(width):
                    to[j] -= means[j]
            if by_column:
                for j in range(width):
                    to[j] *= scales[j]
    return bits < _INFINITY


@device
def mark(masks, inputs, n, step, width):
    """A bit in masks for each of a row's inputs that is not 0; returns how many they are."""
    count, own = _0, _ALL >> np.uint64(WORD - width)
    for b in range(n):
        mask = not_zero(shifted(inputs, b * step)) & own
        masks[b] = mask
        count += count_ones(mask)
    masks[n], masks[n + 1] = _NO_BITS, _NO_BITS
    return count


@device
def take(to, values, n, factor):
    """n values times the factor, as float32; returns the largest magnitude of the values, as its bits."""
    bits = np.int32(0)
    for j in range(n):
        value = np.float32(values[j])
        bits = max(bits, np.int32(float_bits(value) & _MAGNITUDE))
        to[j] = value * factor
    return bits
