"""How the kernels lay out a net, the rows they read and their workspace: padded, flat, made once.

A matrix's rows are padded to whole vectors of 8 lanes. Each layer's weights are (fan_in + 1,
stride) with the bias as last row, so that inputs gather rows and each input's row is updated by
itself. ``mirror`` holds the transposes of the deeper layers' weights, (fan_out, stride of the
layer before), through which deltas go back. Padding holds zeros and stays so: no gradient reaches
it. One exception: each row of ``acts`` holds a 1 after its outputs, the input whose weight is the
next layer's bias.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.encode import Encoded
from fastmlp.kernels.matmul import WORD, padded_vectors
from fastmlp.kernels.simd import LANES, WIDEST
from fastmlp.net import Parameters, Preprocessing

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

BYTES, CSR, DENSE_BYTES, DENSE = range(4)  # forms of the rows, as Encoded's
GAP = 4096 + 64  # bytes: a prefetcher reads no further ahead than a page
_FORGOTTEN = 2**19  # floats that are more than a core's own cache holds: 2 MiB


class Net(NamedTuple):
    """Parameters and workspace of a pass over at most B samples at a time.

    Of each of ``depth`` layers: fan_in, fan_out, stride, vectors; where its weights begin in theta (w_at),
    its outputs in acts and their deltas in deltas (a_at), its transpose in mirror (m_at).
    acts and deltas hold, layer after layer, (B, stride) outputs and dLoss/dz.
    inputs: (B, input_stride) gathered dense rows, scaled and centred, a 1 after them.
    codes:  (WORD, WORD) codes of so many samples and inputs side by side.
    masks:  twice WORD words, which of them are not 0; there, bits of samples become bits of inputs. Loops
        read two words ahead.
    shift:  two rows, of a centred pass over sparse rows: the bias less mean W1, the sum of deltas.
    columns: (K + 3, WORD) probabilities of WORD samples side by side (losses.softmax).
    one:    a single 1, the input whose weight a bias is.
    middle: where the second half of the inputs begins; the halves are summed by themselves, then added.
    parts:  (2, B, stride) sums of both halves, or (WORD, stride) a member, of the second one.
    bounds: one: none of that member's weights of the first layer is larger.
    members: codes, masks, shift, columns and bounds are there for each (views.of_member).
    slots:  acts, deltas and parts are there so many times, for one batch after another.
    """

    depth: int
    fan_in: Int64
    fan_out: Int64
    stride: Int64  # elements from row to row, of its weights and of its outputs
    vectors: Int64  # of a row, that are computed: what follows them holds a 1, or nothing
    w_at: Int64
    a_at: Int64
    m_at: Int64
    theta: Float32
    mirror: Float32
    acts: Float32
    deltas: Float32
    zeros: Float32  # as many as the longest row
    inputs: Float32
    input_stride: int
    codes: NDArray[np.uint8]
    masks: NDArray[np.uint64]
    shift: Float32  # (members, 2 strides)
    columns: Float32
    one: Float32
    middle: int
    parts: Float32
    bounds: NDArray[np.float64]
    members: int
    slots: int


class Rows(NamedTuple):
    """An Encoded X (N, D), and what turns its values into inputs: value * factor - mean.

    codes, values, starts and columns are the Encoded's own memory. table and mean are times factor.
    largest: no coded input, less its mean, nor the 1 of a bias is larger.
    """

    form: int
    codes: NDArray[np.uint8]
    table: Float32
    values: Float32
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    factor: np.float32
    centred: bool
    mean: Float32
    largest: np.float32


def rows_of(X: Encoded, preprocessing: Preprocessing) -> Rows:
    """The rows of X, as the kernels take them."""
    factor, mean = np.float32(1 / preprocessing.scale), preprocessing.mean
    means = np.zeros(X.shape[1], np.float32) if mean is None else np.ascontiguousarray(mean, np.float32)
    dense = DENSE_BYTES if len(X.codes) else DENSE
    form = {"bytes": BYTES, "csr": CSR, "dense": dense}[X.form]
    table = X.table * factor
    return Rows(
        form,
        plain(X.codes),
        table,
        plain(X.values),
        plain(X.starts),
        plain(X.columns),
        factor,
        mean is not None,
        means * factor,
        np.maximum(np.float32(1), abs(table).max() * np.float32(1 if mean is None else 2)),
    )


def build(parameters: Parameters, X: Encoded, B: int, members: int) -> Net:
    """The net of these parameters with a workspace for B samples of X and a team of that size."""
    fan_in, fan_out = (np.array(sizes, np.int64) for sizes in zip(*parameters.shapes, strict=True))
    coded, dense = X.form == "bytes", X.form == "dense"
    vectors = -(-fan_out // LANES)
    if coded:
        vectors[0] = padded_vectors(vectors[0])
    stride = np.maximum(vectors, -(-(fan_out + 1) // LANES)) * LANES  # room for the 1
    stride[0] = _padded(stride[0], WIDEST)
    before = np.concatenate([[0], stride[:-1]])
    w_at, a_at, m_at = (_starts(sizes) for sizes in ((fan_in + 1) * stride, B * stride, fan_out * before))
    D = X.shape[1]
    input_stride = _padded(D + 1, LANES)
    parts = max(2 * B, members * WORD) * stride[0]
    batch = 2 * a_at[-1] + parts
    slots = 1 if members == 1 else max(1, round(_FORGOTTEN / batch))
    net = Net(
        len(fan_in),
        fan_in,
        fan_out,
        stride,
        vectors,
        w_at[:-1],
        a_at[:-1],
        m_at[:-1],
        theta=_aligned(w_at[-1]),
        mirror=_aligned(m_at[-1]),
        acts=_spaced(slots, a_at[-1]),
        deltas=_spaced(slots, a_at[-1]),
        zeros=_aligned(stride.max()),
        inputs=_aligned(B * input_stride if dense else 0),
        input_stride=input_stride,
        codes=_spaced(members, WORD * WORD if coded else 0, np.uint8),
        masks=_spaced(members, 2 * WORD, np.uint64),
        shift=_spaced(members, 2 * stride[0]),
        columns=_spaced(members, (fan_out[-1] + 3) * WORD),
        one=np.ones(1, np.float32),
        middle=middle_of(D),
        parts=_spaced(slots, parts),
        bounds=_spaced(members, 1, np.float64),
        members=members,
        slots=slots,
    )
    net.inputs.reshape(-1, input_stride)[:, D] = 1
    for (layer, W_padded, b_padded), W_in, b_in in zip(
        views(net, net.theta), parameters.weights, parameters.biases, strict=True
    ):
        W_padded[...] = W_in
        b_padded[...] = b_in
        outputs = net.acts[a_at[layer] : a_at[layer + 1]].reshape(B, stride[layer])
        outputs[:, fan_out[layer]] = 1
        if layer:
            mirror = net.mirror[m_at[layer] : m_at[layer + 1]].reshape(fan_out[layer], before[layer])
            mirror[:, : fan_in[layer]] = W_in.T
    return net


def middle_of(D: int) -> int:
    """Where the second half of D inputs begins: at a whole word, and only where there are some words."""
    words = -(-D // WORD)
    return words // 2 * WORD if words >= 8 else D


def views(net: Net, flat: Float32) -> list[tuple[int, Float32, Float32]]:
    """(layer, weights (fan_in, fan_out), biases) in a flat array laid out as theta."""
    out = []
    sizes = zip(net.fan_in, net.fan_out, net.stride, net.w_at, strict=True)
    for layer, (fan_in, fan_out, stride, start) in enumerate(sizes):
        block = flat[start : start + (fan_in + 1) * stride].reshape(fan_in + 1, stride)
        out.append((layer, block[:fan_in, :fan_out], block[fan_in, :fan_out]))
    return out


def laid_out(net: Net, parameters: Parameters) -> Float32:
    """Those parameters in a flat array of its own, laid out as theta."""
    flat = aligned_like(net.theta)
    for (_, W_padded, b_padded), W, b in zip(
        views(net, flat), parameters.weights, parameters.biases, strict=True
    ):
        W_padded[...] = W
        b_padded[...] = b
    return flat


def unpack(net: Net, flat: Float32) -> Parameters:
    """Copies of the weights and biases in a flat array laid out as theta."""
    layers = views(net, flat)
    return Parameters(
        tuple(np.array(W, order="C") for _, W, _ in layers), tuple(np.array(b) for _, _, b in layers)
    )


def take(net: Net, flat: Float32, parameters: Parameters) -> None:
    """The weights and biases in a flat array laid out as theta, into ``parameters``."""
    for (_, W, b), W_old, b_old in zip(views(net, flat), parameters.weights, parameters.biases, strict=True):
        W_old[...] = W
        b_old[...] = b


def outputs(net: Net, B: int) -> list[Float32]:
    """Copies of the outputs (B, fan_out) of each layer, of B samples."""
    out = []
    for fan_out, stride, start in zip(net.fan_out, net.stride, net.a_at, strict=True):
        out.append(net.acts[start : start + B * stride].reshape(B, stride)[:, :fan_out].copy())
    return out


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """The flat array, or the same memory as a writable one; whoever calls keeps the first alive.

    A read-only or unaligned array is another type to Numba: all kernels would be compiled again.
    """
    if not array.flags.aligned:
        return array.copy()
    if not array.size:
        return np.empty(0, array.dtype)
    if array.flags.writeable:
        return array
    memory: Any = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memory, array.dtype)


def aligned_like(array: Float32) -> Float32:
    """Zeros of that length that begin on a cache line."""
    zeros: Float32 = _aligned(len(array))
    return zeros


def _aligned(n: Any, kind: Any = np.float32) -> Any:
    """n zeros that begin on a cache line, with a cache line of padding behind them."""
    size = np.dtype(kind).itemsize
    raw = np.zeros(n * size + 128, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * size].view(kind)


def _spaced(count: int, n: Any, kind: Any = np.float32) -> Any:
    """count times n zeros that begin on a cache line, GAP bytes apart at least."""
    lanes = 64 // np.dtype(kind).itemsize
    return _aligned(count * (_padded(n, lanes) + GAP // 64 * lanes), kind)


def _starts(sizes):
    """Where each of a row of blocks begins, and where the last ends."""
    return np.concatenate([[0], np.cumsum(sizes)])


def _padded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
