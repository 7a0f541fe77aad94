"""The structs of plain_loops.py, made of nets, data and words before a compiled call."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.checks import check_inputs
from fastmlp.data.checks import check_finite
from fastmlp.data.encode import Encoded, as_matrix
from fastmlp.data.sparse import as_csr, is_scipy_sparse
from fastmlp.errors import DataError
from fastmlp.kernels import plain_words as words
from fastmlp.kernels.plain_loops import PRODUCT, Rows
from fastmlp.kernels.plain_stages import stages_of
from fastmlp.kernels.plain_steps import LIMIT, SHORTEN, Layout, Limits, Space
from fastmlp.kernels.rules import SLACK
from fastmlp.net import Net, Parameters, Preprocessing
from fastmlp.words.activations import parts_of
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

BLOCK = 256  # rows that are walked together
LANES = 4

_NONE, _NO_ROWS, _NO_COLUMNS = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32)


class Room:
    """A net's parameters, laid out, and the arrays of a pass over them.

    rows: the most that are walked. deltas: there are losses, too. draw: seed and epoch of a training, which
    has gradients.
    """

    def __init__(
        self, net: Net, rows: int, *, deltas: bool = False, draw: tuple[int, int] | None = None
    ) -> None:
        training, whole = draw is not None, draw is not None and net.architecture.normalises
        block, layers = max(1, rows if whole else min(rows, BLOCK)), net.architecture.all_layers
        fan_in, fan_out = (np.array(sizes, np.int64) for sizes in zip(*net.parameters.shapes, strict=True))
        stride = np.array([stride_of(width) for width in fan_out.tolist()], np.int64)
        before = np.concatenate([[0], stride[:-1]])
        normed = np.array([layer.batch_norm is not None for layer in layers], np.int64)
        rows_of_theta = fan_in + 1 + 2 * normed
        w_at, a_at, t_at = map(_begins, (rows_of_theta * stride, block * stride, fan_out * before))
        acts = [parts_of(act) for act in net.architecture.acts]
        table = [words.ACTIVATIONS[name] for name, _ in acts]
        self.layout = Layout(
            depth=len(layers), fan_in=fan_in, fan_out=fan_out, stride=stride, vectors=stride // LANES,
            w_at=w_at[:-1], a_at=a_at[:-1], t_at=t_at[:-1],
            act=np.array([each.forward.place for each in table], np.int64),
            slope=np.array([each.backward.place if training else 0 for each in table], np.int64),
            number=np.array([number for _, number in acts], np.float64),
            kept=np.array([each.kept for each in table], np.int64),
            trained=np.array([not layer.frozen for layer in layers], np.int64),
            biased=np.array([layer.bias for layer in layers], np.int64), rows=rows_of_theta, block=block,
            x_stride=int(fan_in[0]), product=PRODUCT.place,
            stages=stages_of(net, int(a_at[-1]), stride, draw),
        )  # fmt: skip
        outputs, theta = int(a_at[-1]), int(w_at[-1])
        self.space = Space(
            theta=np.zeros(theta), gradient=np.zeros(theta * training),
            transposed=np.zeros(int(t_at[-1]) * training), x=np.empty(block * int(fan_in[0])),
            acts=np.empty(outputs), slopes=np.empty(outputs * any(each.kept for each in table)),
            deltas=np.empty(outputs * (training or deltas)), zeros=np.zeros(int(stride.max())),
            losses=np.empty(block), best=np.empty(block, np.int64),
        )  # fmt: skip
        self.running = self.layout.stages.running
        self.put(net.parameters, self.space.theta, self.running)

    def put(self, parameters: Parameters, flat: Array, running: Array = _NONE) -> None:
        """Copy parameters into an array laid out as theta, and running statistics, if wanted."""
        for mine, its in self._pairs(parameters, flat, running):
            mine[...] = its

    def take(self, flat: Array, parameters: Parameters, running: Array = _NONE) -> Parameters:
        """Copy an array laid out as theta into parameters, which are returned."""
        for mine, its in self._pairs(parameters, flat, running):
            its[...] = mine
        return parameters

    def _pairs(self, parameters: Parameters, flat: Array, running: Array) -> Iterator[tuple[Array, Array]]:
        """Each array of the parameters, but running statistics only if wanted, after its place."""
        shape, norms = self.layout, (*parameters.norms, None)
        begins = [each.tolist() for each in (shape.w_at, shape.rows, shape.stride, shape.stages.begin)]
        layers = zip(parameters.weights, parameters.biases, norms, *begins, strict=True)
        for W, b, norm, at, count, stride, begin in layers:
            (fan_in, fan_out), rows = W.shape, flat[at : at + count * stride].reshape(count, stride)
            yield rows[:fan_in, :fan_out], W
            yield rows[fan_in, :fan_out], b
            if norm is not None:
                yield from zip(rows[fan_in + 1 :, :fan_out], (norm.gamma, norm.beta), strict=True)
            if norm is not None and len(running):
                both = running[2 * begin :][: 2 * stride].reshape(2, stride)
                yield from zip(both[:, :fan_out], (norm.mean, norm.variance), strict=True)


def stride_of(width: int) -> int:
    """Whole vectors; rows that lie a multiple of 2 KiB apart would share few lines of a cache."""
    stride = -(-width // LANES) * LANES
    return stride + 2 * LANES if stride % 256 == 0 else stride


def _begins(sizes: Array) -> NDArray[np.int64]:
    """Return where each of so many sizes begins, and where the last one ends."""
    return np.array([0, *itertools.accumulate(sizes.tolist())], np.int64)


class Data(NamedTuple):
    """X (N, D): its values; or those of compressed rows, with their starts and columns."""

    shape: tuple[int, int]
    values: Array
    starts: Array = _NO_ROWS
    columns: Array = _NO_COLUMNS


def data_of(net: Net, X: Any) -> Data:
    """X, an array, a scipy.sparse matrix or an Encoded, for that net. Raises DataError and ModelError."""
    data = _data_of(X)
    check_inputs(net, data.shape)
    return data


def _data_of(X: Any) -> Data:
    if isinstance(X, Encoded):
        if X.form == "csr":
            return Data(X.shape, X.values.astype(np.float64), X.starts, X.columns)
        values = X.table[X.codes] if len(X.codes) else X.values
        return Data(X.shape, values.astype(np.float64))
    if is_scipy_sparse(X):
        rows = as_csr(X)
        values = np.ascontiguousarray(rows.data, np.float64)
        if not np.isfinite(values).all():
            raise DataError("X must be finite", "nan or infinity", "remove or replace such values")
        starts = np.ascontiguousarray(rows.indptr, np.int64)
        columns = np.ascontiguousarray(rows.indices, np.int32)
        return Data(rows.shape, values, starts, columns)
    array = np.ascontiguousarray(as_matrix(X), np.float64)
    check_finite(array, "X must be finite", first=0)
    return Data((array.shape[0], array.shape[1]), array.reshape(-1))


def rows_of(data: Data, preprocessing: Preprocessing) -> Rows:
    """The rows as they become inputs."""
    by_column, centred = preprocessing.by_column, preprocessing.mean is not None
    return Rows(
        data.values, data.starts, data.columns,
        mean=np.ascontiguousarray(preprocessing.mean, np.float64) if centred else _NONE,
        factor=np.ravel(1 / np.asarray(preprocessing.scale, np.float64)), compressed=len(data.starts) > 0,
        centred=centred, by_column=by_column, scaled=not by_column and preprocessing.scale != 1,
    )  # fmt: skip


def limits_of(net: Net, optimizer: Optimizer) -> Limits:
    """Make the bounds that the net's layers and the optimizer ask for."""
    l1, l2, longest = (
        np.array([float(layer.word(word)) for layer in net.architecture.all_layers])
        for word in ("l1", "l2", "max_norm")
    )
    norm = optimizer.clip_norm or optimizer.clip_each
    return Limits(
        l1=l1, l2=2 * l2, longest=longest,
        limit=LIMIT.place if l1.any() or l2.any() or optimizer.clip_value or norm else 0,
        shorten=SHORTEN.place if longest.any() else 0,
        cut=float(optimizer.clip_value), most=float(norm), each=optimizer.clip_each > 0,
        slack=SLACK if optimizer.form == "torch" else 0.0,
    )  # fmt: skip
