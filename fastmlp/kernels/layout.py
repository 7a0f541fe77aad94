"""How the kernels lay out a net, the rows they read and their workspace: padded, flat, made once.

A matrix's rows are padded to whole vectors of 8 lanes. Each layer's weights are (fan_in + 1,
stride) with the bias as last row, so that inputs gather rows and each input's row is updated by
itself. ``transposed`` holds the transposes of the deeper layers' weights, (fan_out, stride of the
layer before), through which deltas go back. Padding holds zeros and stays so: no gradient reaches
it. One exception: each row of ``acts`` holds a 1 after its outputs, the input whose weight is the
next layer's bias.

A core's prefetcher reads ahead of what it is asked for: hence what members write lies pages apart
(GAP), or else lines that one has just written are fetched by the other, and must be called back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.data.encode import Encoded
from fastmlp.kernels.activations import ACTIVATIONS
from fastmlp.kernels.batch_norm import AFTER, STATISTICS, Norms, norms_of
from fastmlp.kernels.dropout import Draw, draw_of
from fastmlp.kernels.intrinsics import nth
from fastmlp.kernels.jit import device
from fastmlp.kernels.matmul import WORD, padded_vectors
from fastmlp.kernels.simd import LANES, WIDEST
from fastmlp.net import Net, Norm, Parameters, Preprocessing
from fastmlp.words.activations import parts_of

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

BYTES, CSR, DENSE_BYTES, DENSE, SPREAD = range(5)  # forms of the rows: Encoded's, and CSR's made dense
THINNED = {BYTES: "codes", CSR: "entries", SPREAD: "spread", DENSE_BYTES: "floats", DENSE: "floats"}
GAP = 4096 + 64  # bytes: a prefetcher reads no further ahead than a page
_FORGOTTEN = 2**19  # floats that are more than a core's own cache holds: 2 MiB


class Layout(NamedTuple):
    """The places of the values of each of ``depth`` layers, in elements of the arrays below.

    fan_in, fan_out; stride: from row to row, of its weights and of its outputs; vectors: of a row, that are
    computed: what follows them holds a 1, or nothing. Where its weights begin in theta (w_at), its outputs in
    acts and their deltas in deltas (a_at), its weights' transpose in transposed (t_at), its factors in
    factors (f_at), or -1 where it keeps none.
    act, slope, number: of each hidden layer, the places of its activation's plug-ins, and its number.
    input_stride: of Work.inputs.
    middle: where the second half of the inputs begins; the halves are summed by themselves, then added.
    half: from one of Slot.halves to the other.
    """

    depth: int
    act: Int64
    slope: Int64
    number: Float32
    fan_in: Int64
    fan_out: Int64
    stride: Int64
    vectors: Int64
    w_at: Int64
    a_at: Int64
    t_at: Int64
    f_at: Int64
    input_stride: int
    middle: int
    half: int


class Weights(NamedTuple):
    """theta, and the transposes of the deeper layers' weights."""

    theta: Float32
    transposed: Float32


class Slot(NamedTuple):
    """The values that one batch of at most B samples leaves: by layer, (B, stride) outputs and dLoss/dz.

    factors: of the layers that keep them, (B, stride) factors: by its own a unit's delta is multiplied on the
        way back. The forward pass knows them, where its outputs alone do not tell.
    halves (2, B, stride): the first layer's sums over each half of the inputs, where two members part them.
    """

    acts: Any
    deltas: Any
    factors: Any
    halves: Any


class Scratch(NamedTuple):
    """The arrays that one member needs for itself.

    codes:   (WORD, WORD) codes of so many samples and inputs side by side.
    masks:   twice WORD words, which of them are not 0; there, bits of samples become bits of inputs. Loops
        read two words ahead.
    shift:   two rows, of a centred pass over sparse rows: the bias less mean W1, the sum of deltas.
    sums:    (WORD, stride) the first layer's sums over the second half of the inputs.
    block:   (WORD, stride) for coded inputs whose columns have scales: their weights times these, or what
        their weights get once it is times these.
    columns: (K + 3, WORD) probabilities of WORD samples side by side (losses.softmax).
    norms:   statistics of the batch norms.
    bound:   one: none of that member's weights of the first layer is larger.
    """

    codes: Any
    masks: Any
    shift: Any
    sums: Any
    block: Any
    columns: Any
    norms: Any
    bound: Any


class Work(NamedTuple):
    """Parameters and workspace of a pass over at most B samples at a time.

    inputs: (B, input_stride) gathered dense rows, scaled and centred, a 1 after them.
    zeros:  as many as the longest row. one: a single 1, the input whose weight a bias is.
    draw: what a pass of training leaves out. norms: its batch norms.
    slot, scratch: the first of so many ``slots``, for one batch after another, and of one for each of
        ``members``; slot_steps, scratch_steps: elements from each to the next (``seen_by``).
    """

    layout: Layout
    weights: Weights
    inputs: Float32
    zeros: Float32
    one: Float32
    draw: Draw
    norms: Norms
    slots: int
    slot: Slot
    slot_steps: Slot
    members: int
    scratch: Scratch
    scratch_steps: Scratch


@device
def seen_by(work, member, slot):
    """The Work of addresses with that member's scratch, and that slot.

    A cache line that another core has read is asked back from it before it is written again, for 6 to
    40 ns (Zen 4); not if that core's cache has forgotten it. Hence each batch writes somewhere else.
    """
    return Work(
        layout=work.layout, weights=work.weights, inputs=work.inputs, zeros=work.zeros, one=work.one,
        draw=work.draw, norms=work.norms, slots=work.slots, slot=nth(work.slot, slot, work.slot_steps),
        slot_steps=work.slot_steps, members=work.members,
        scratch=nth(work.scratch, member, work.scratch_steps), scratch_steps=work.scratch_steps,
    )  # fmt: skip


class Batch(NamedTuple):
    """The samples order[begin : begin + n], of N in all, batch ``number`` of a pass.

    weight: the sum of theirs (losses.weight_of_batch). ahead: so many samples later is the one whose row is
    brought near.
    """

    order: Int64
    N: int
    begin: int
    n: int
    number: int
    weight: np.float32
    ahead: int


class Rows(NamedTuple):
    """An Encoded X (N, D), and what makes its values inputs: (value * factor - mean) * scales, times growth.

    codes, values, starts and columns are the Encoded's own memory. table and mean are times factor; the table
    of BYTES times growth too. growth: of the inputs that dropout keeps; 1 without.
    scales (D,): 1, but where columns have their own: then by_column is true, factor is 1, and the mean of
    sparse rows is times scales.
    largest: no coded input, less its mean, nor the 1 of a bias is larger.
    """

    form: int
    codes: NDArray[np.uint8]
    table: Float32
    values: Float32
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    factor: np.float32
    growth: np.float32
    centred: bool
    mean: Float32
    by_column: bool
    scales: Float32
    largest: np.float32


def form_of(X: Encoded, preprocessing: Preprocessing, left_out: float) -> int:
    """The form in which a pass reads X, of which it leaves out that share: its own.

    But an input that is left out is not less its mean: where they are centred, all inputs are walked then.
    """
    dense = DENSE_BYTES if len(X.codes) else DENSE
    if left_out and preprocessing.mean is not None:
        return {"bytes": DENSE_BYTES, "csr": SPREAD, "dense": dense}[X.form]
    return {"bytes": BYTES, "csr": CSR, "dense": dense}[X.form]


def rows_of(X: Encoded, preprocessing: Preprocessing, left_out: float = 0.0) -> Rows:
    """The rows of X, as the kernels take them. left_out: the share of inputs that a training leaves out."""
    form = form_of(X, preprocessing, left_out)
    D, by_column, mean = X.shape[1], preprocessing.by_column, preprocessing.mean
    factor = np.float32(1 if by_column else 1 / preprocessing.scale)
    scales = np.ones(D, np.float32)
    if by_column:
        scales = np.ascontiguousarray(1 / preprocessing.scale, np.float32)
    growth = np.float32(random.growth(left_out) if left_out else 1)
    means = np.zeros(D, np.float32) if mean is None else np.ascontiguousarray(mean, np.float32)
    if by_column and mean is not None and form in (BYTES, CSR, SPREAD):
        means = (mean / preprocessing.scale).astype(np.float32)
    table = X.table * factor * (growth if form == BYTES else np.float32(1))
    return Rows(
        form=form,
        codes=plain(X.codes),
        table=table,
        values=plain(X.values),
        starts=plain(X.starts),
        columns=plain(X.columns),
        factor=factor,
        growth=growth,
        centred=mean is not None,
        mean=means * factor,
        by_column=by_column,
        scales=scales,
        largest=np.maximum(
            np.float32(1),
            abs(table).max() * np.float32(1 if mean is None else 2) * (scales.max() if by_column else 1),
        ),
    )


def acts_of(net: Net) -> tuple[Int64, Float32]:
    """Layout.act and number."""
    parts = [parts_of(act) for act in net.architecture.acts]
    places = [ACTIVATIONS[name].forward.place for name, _ in parts]
    return np.array(places, np.int64), np.array([number for _, number in parts], np.float32)


def slopes_of(net: Net) -> Int64:
    """Layout.slope: 0 where it is none of the output's."""
    found = [ACTIVATIONS[parts_of(act)[0]].backward for act in net.architecture.acts]
    return np.array([0 if slope is None else slope.place for slope in found], np.int64)


def build(
    net: Net,
    X: Encoded,
    B: int,
    members: int,
    parameters: Parameters | None = None,
    draw: tuple[int, int] | None = None,
) -> Work:
    """The Work of a net for B samples of X at a time and a team of that size.

    parameters: others than the net's own. draw: seed and epoch of a pass of training.
    """
    parameters = net.parameters if parameters is None else parameters
    fan_in, fan_out = (np.array(sizes, np.int64) for sizes in zip(*parameters.shapes, strict=True))
    form = form_of(X, net.preprocessing, net.architecture.input_dropout if draw else 0.0)
    coded, dense = form == BYTES, form not in (BYTES, CSR)
    left_out = draw_of(net.architecture, THINNED[form], draw)
    vectors = -(-fan_out // LANES)
    if coded:
        vectors[0] = padded_vectors(vectors[0])
    stride = np.maximum(vectors, -(-(fan_out + 1) // LANES)) * LANES  # room for the 1
    stride[0] = _padded(stride[0], WIDEST)
    before = np.concatenate([[0], stride[:-1]])
    (act, number), slope = acts_of(net), slopes_of(net)
    norms = norms_of(net.architecture.layers, parameters.norms, stride, LANES * vectors, B)
    keeps = np.append((slope == 0) | (left_out.parts[1:] > 0), False) | (norms.place == AFTER)
    f_at = _starts(B * stride * keeps)
    rows = fan_in + 1 + 2 * (norms.place > 0)
    w_at, a_at, t_at = (_starts(sizes) for sizes in (rows * stride, B * stride, fan_out * before))
    D = X.shape[1]
    middle, half, input_stride = middle_of(D), B * stride[0], _padded(D + 1, LANES)
    halves = 2 * half if members > 1 and middle < D else 0
    slots = 1 if members == 1 else max(1, round(_FORGOTTEN / (2 * a_at[-1] + halves)))
    slot = Slot(
        acts=_spaced(slots, a_at[-1]), deltas=_spaced(slots, a_at[-1]), factors=_spaced(slots, f_at[-1]),
        halves=_spaced(slots, halves),
    )  # fmt: skip
    scratch = Scratch(
        codes=_spaced(members, WORD * WORD if coded else 0, np.uint8),
        masks=_spaced(members, 2 * WORD, np.uint64),
        shift=_spaced(members, 2 * stride[0]),
        sums=_spaced(members, WORD * stride[0] if middle < D else 0),
        block=_spaced(members, WORD * stride[0] if coded and net.preprocessing.by_column else 0),
        columns=_spaced(members, (fan_out[-1] + 3) * WORD),
        norms=_spaced(members, STATISTICS * norms.width.sum()),
        bound=_spaced(members, 1, np.float64),
    )
    work = Work(
        layout=Layout(
            depth=len(fan_in), act=act, slope=slope, number=number, fan_in=fan_in, fan_out=fan_out,
            stride=stride, vectors=vectors, w_at=w_at[:-1], a_at=a_at[:-1], t_at=t_at[:-1],
            f_at=np.where(keeps, f_at[:-1], -1),
            input_stride=input_stride, middle=middle, half=int(half),
        ),
        weights=Weights(theta=_aligned(w_at[-1]), transposed=_aligned(t_at[-1])),
        inputs=_aligned(B * input_stride if dense else 0),
        zeros=_aligned(stride.max()),
        one=np.ones(1, np.float32),
        draw=left_out,
        norms=norms,
        slots=slots,
        slot=slot,
        slot_steps=Slot(*(len(array) // slots for array in slot)),
        members=members,
        scratch=scratch,
        scratch_steps=Scratch(*(len(array) // members for array in scratch)),
    )  # fmt: skip
    work.inputs.reshape(-1, input_stride)[:, D] = 1
    pack(work.layout, work.weights.theta, parameters)
    for place, value in transposes(work, parameters):
        place[...] = value
    return work


def middle_of(D: int) -> int:
    """The begin of the second half of D inputs: at a whole word, and only where there are some words."""
    words = -(-D // WORD)
    return words // 2 * WORD if words >= 8 else D


class Views(NamedTuple):
    """A layer's part of a flat array laid out as theta: W (fan_in, fan_out), the others (fan_out,)."""

    W: Float32
    b: Float32
    gamma: Float32 | None
    beta: Float32 | None


def views(layout: Layout, flat: Float32) -> list[Views]:
    """Each layer's, in a flat array laid out as theta; gamma and beta of a batch norm lie behind the bias."""
    out, ends = [], (*layout.w_at[1:].tolist(), len(flat))
    sizes = (part.tolist() for part in (layout.fan_in, layout.fan_out, layout.stride, layout.w_at))
    for fan_in, fan_out, stride, start, end in zip(*sizes, ends, strict=True):
        block = flat[start:end].reshape(-1, stride)[:, :fan_out]
        gamma, beta = block[fan_in + 1 :] if len(block) > fan_in + 1 else (None, None)
        out.append(Views(block[:fan_in], block[fan_in], gamma, beta))
    return out


def pack(layout: Layout, flat: Float32, parameters: Parameters) -> Float32:
    """A flat array laid out as theta, with those parameters."""
    for place, value in paired(layout, flat, parameters):
        place[...] = value
    return flat


def transposes(work: Work, parameters: Parameters) -> list[tuple[Float32, Float32]]:
    """The transpose of each deeper layer's weights, and its place, first."""
    found, of = [], work.layout
    for layer in range(1, of.depth):
        width, n = of.stride[layer - 1], of.fan_out[layer]
        place = work.weights.transposed[of.t_at[layer] :][: n * width].reshape(n, width)
        found.append((place[:, : of.fan_in[layer]], parameters.weights[layer].T))
    return found


def paired(layout: Layout, flat: Float32, parameters: Parameters) -> Iterator[tuple[Float32, Float32]]:
    """Each array of the parameters that a flat one has, and its place there, first."""
    norms = (*parameters.norms, None)
    for own, W, b, norm in zip(
        views(layout, flat), parameters.weights, parameters.biases, norms, strict=True
    ):
        yield from ((own.W, W), (own.b, b))
        if norm is not None:
            assert own.gamma is not None
            assert own.beta is not None
            yield from ((own.gamma, norm.gamma), (own.beta, norm.beta))


def unpack(layout: Layout, flat: Float32) -> Parameters:
    """Copies of the arrays in a flat array laid out as theta; running means and variances are 0."""
    found = views(layout, flat)
    norms = tuple(
        None
        if own.gamma is None or own.beta is None
        else Norm(np.array(own.gamma), np.array(own.beta), *np.zeros((2, len(own.b)), np.float32))
        for own in found[:-1]
    )
    return Parameters(
        tuple(np.array(own.W, order="C") for own in found), tuple(np.array(own.b) for own in found), norms
    )


def outputs(work: Work, B: int) -> list[Float32]:
    """Copies of the outputs (B, fan_out) of each layer, of B samples."""
    out, layout = [], work.layout
    for fan_out, stride, start in zip(layout.fan_out, layout.stride, layout.a_at, strict=True):
        out.append(work.slot.acts[start : start + B * stride].reshape(B, stride)[:, :fan_out].copy())
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
    """The begin of each of a row of blocks, and the end of the last."""
    return np.concatenate([[0], np.cumsum(sizes)])


def _padded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
