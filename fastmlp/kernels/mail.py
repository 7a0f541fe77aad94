"""How two members work apart, where their cores share no cache, and tell each other what they must.

Memory that one writes and the other reads costs 24 to 35 ns a cache line there (Zen 4), each time it is
written: the reader's copy must be called back first. So each has weights, outputs and deltas of its own,
and copies what the other needs past the caches into ``mail``: 3 ns a line, and 4 to read it. Of a batch
these are the sums of its half of the inputs, the deltas, and the weights of deeper layers. Whether it is
faster is measured: ``is_apart``.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.intrinsics import copy
from fastmlp.kernels.jit import device, inlined
from fastmlp.kernels.simd import copy_past
from fastmlp.kernels.team import clock

WAY = USUAL, TURN, BEFORE, HERE, THERE, LATELY = range(6)
"""Words of what is known of the two ways to work. USUAL: 1 if apart. TURN: batches since a trial began.
HERE, THERE: the shortest time of a batch in the usual way and in the other; LATELY: of the last few."""
TRIAL = 12  # batches that are looked at together
OFTEN, SELDOM = 512, 4096  # batches from trial to trial, of those who are apart, and of those who are not
_GAIN = 0.95  # of the time, at most, is what the other way must take
_SLOWER = 1.15  # times what it took before is reason enough for a trial
_LONG = 2**62


@device  # copied into a prange, the assignment would be taken for dead code
def reflect(mirror, mirror_at, mirror_step, W, at, step, lo, hi, width):
    """Rows lo..hi - 1 of W into its transpose."""
    for j in range(lo, hi):
        for k in range(width):
            mirror[mirror_at + k * mirror_step + j] = W[at + j * step + k]


@inlined
def share_of(net, layer, begin, end):
    """The rows of a layer, the bias being the last, from ``begin`` to ``end`` in parts of 1."""
    rows = net.fan_in[layer] + 1
    return np.int64(rows * begin), np.int64(rows * end)


@device
def pass_samples(net, to, source, lo, hi, deeper, posted):
    """Deltas of samples lo..hi - 1, and all that the gradients of deeper layers take, if ``deeper``.

    ``posted``: past the caches, for the other member; else into the caches, for this one.
    """
    for layer in range(net.depth if deeper else 1):
        begin, end = net.a_at[layer] + lo * net.stride[layer], net.a_at[layer] + hi * net.stride[layer]
        if posted:
            copy_past(to.deltas, source.deltas, begin, end)
        else:
            copy(to.deltas, source.deltas, begin, end)
        if deeper and layer < net.depth - 1:
            if posted:
                copy_past(to.acts, source.acts, begin, end)
            else:
                copy(to.acts, source.acts, begin, end)


@device
def pass_weights(net, to, source, begin, end, posted):
    """A share of each deeper layer's rows; mirrored, if not posted."""
    for layer in range(1, net.depth):
        at, stride, (lo, hi) = net.w_at[layer], net.stride[layer], share_of(net, layer, begin, end)
        if posted:
            copy_past(to.theta, source.theta, at + lo * stride, at + hi * stride)
        else:
            copy(to.theta, source.theta, at + lo * stride, at + hi * stride)
            reflect(
                to.mirror, net.m_at[layer], net.stride[layer - 1], to.theta, at, stride,
                lo, min(hi, net.fan_in[layer]), net.fan_out[layer],
            )  # fmt: skip


def is_apart(way):
    """Whether members work apart now: now and then they try what they usually do not."""
    return (way[USUAL] != 0) != (TRIAL <= way[TURN] < 2 * TRIAL)


_is_apart = inlined(is_apart)


@device
def is_next_apart(way):
    """Whether they do so in the next batch: asked after each."""
    turn, now = way[TURN], clock()
    k = min(HERE + turn // TRIAL, LATELY)
    if turn % TRIAL == 0:
        way[k] = _LONG
    elif turn % TRIAL >= TRIAL // 4:  # those before find nothing in the caches
        way[k] = min(way[k], now - way[BEFORE])
    way[BEFORE] = now
    turn += 1
    if turn == 2 * TRIAL and way[THERE] < _GAIN * way[HERE]:
        way[USUAL], way[HERE] = 1 - way[USUAL], way[THERE]
    elif turn > 2 * TRIAL and turn % TRIAL == 0:
        if way[LATELY] > _SLOWER * way[HERE] or turn >= (OFTEN if way[USUAL] != 0 else SELDOM):
            turn = 0
        way[HERE] = min(way[HERE], way[LATELY])
    way[TURN] = turn
    return _is_apart(way)
