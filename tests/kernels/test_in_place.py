"""Predictions with the weights where they lie: the bytes of a whole pass, of any rows, by any threads."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from nets import ACTS, call, net_of, values, weights
from staged_nets import with_norms

from fastmlp import (
    Architecture,
    BatchNorm,
    ConfigError,
    DataError,
    ModelError,
    Net,
    Parameters,
    Preprocessing,
    fit,
    initialise,
    kernels,
)
from fastmlp.kernels import in_place
from fastmlp.words.layers import Layer, layers_of

KINDS = ("uint8 sparse", "uint8 dense", "float32 sparse", "float32 dense", "uint8 centred", "float32 centred")
LINKS = ("softmax", "identity", "sigmoid", "exp")
WIDTHS = (1, 2, 3, 7, 8, 9, 13, 16, 17, 33, 64, 65, 100, 104, 105, 130)


def whole(net, X, link="softmax"):
    """Predictions by a whole pass."""
    return kernels._outputs(net, X, 1, link)


@pytest.fixture
def at_once(monkeypatch):
    """Which calls were answered with the weights where they lie."""
    answered, real = [], in_place.predict

    def watched(*args):
        p = real(*args)
        answered.append(p is not None)
        return p

    monkeypatch.setattr(in_place, "predict", watched)
    return answered


def drawn(seed):
    """A net of any shape and preprocessing, with rows, a link, and as many threads as may take part."""
    rng = np.random.default_rng([seed, 21])
    D = int(rng.choice([1, 5, 20, 63, 64, 65, 130, 448, 449, 513, 784]))
    hidden = tuple(int(width) for width in rng.choice(WIDTHS, rng.integers(0, 4)))
    kind, dtype = str(rng.choice(KINDS)), rng.choice([np.float32, np.float64], p=[0.75, 0.25])
    architecture = Architecture(D, layers_of(hidden, str(rng.choice(ACTS))), int(rng.choice(WIDTHS)))
    parameters = weights(rng, architecture).astype(dtype)
    N = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 129, 300]))
    X = values(rng, kind, N, D)
    scale = rng.choice([1.0, 0.7, 255.0]) if rng.random() < 0.5 else rng.uniform(0.5, 300, D)
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if rng.random() < 0.5 else None
    if X.dtype == np.float32 and rng.random() < 0.4:
        X = X.astype(np.float64)
    net = Net(architecture, parameters, Preprocessing(scale, mean))
    return net, X, str(rng.choice(LINKS)), int(rng.integers(1, 4)), rng


@pytest.mark.parametrize("seed", range(200))
def test_a_row_has_the_same_bytes_alone_among_others_and_in_a_whole_pass(monkeypatch, seed):
    net, X, link, threads, rng = drawn(seed)
    want = whole(net, X, link)
    assert want.dtype == net.parameters.dtype
    assert in_place.predict(net, X, link).tobytes() == want.tobytes()
    monkeypatch.setattr(in_place, "PAYS", 1)  # threads for however little work
    assert in_place.predict(net, X, link, threads).tobytes() == want.tobytes()
    cuts = np.unique([0, *rng.integers(0, len(X), 3), len(X)])
    parts = [in_place.predict(net, X[a:b], link, threads) for a, b in itertools.pairwise(cuts)]
    assert np.concatenate(parts).tobytes() == want.tobytes()
    ones = [in_place.predict(net, X[i : i + 1], link) for i in range(min(len(X), 8))]
    assert np.concatenate(ones).tobytes() == want[:8].tobytes()
    if net.architecture.outputs == 1:
        both, one = in_place.predict(net, X, link, threads, 2), want[:, 0]
        assert both.tobytes() == np.stack([1 - one, one], axis=1).tobytes()


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_norm_is_folded_into_the_weights(place, dtype):
    rng = np.random.default_rng(7)
    layers = (Layer(20, "relu", batch_norm=BatchNorm(place=place)), Layer(9, "tanh"))
    architecture = Architecture(33, layers, 4)
    net = Net(architecture, with_norms(rng, architecture, dtype))
    X = values(rng, "float32 dense", 70, 33)
    for _ in range(2):
        assert in_place.predict(net, X, "softmax").tobytes() == whole(net, X).tobytes()
        net.parameters.norms[0].gamma[3] += 0.5  # what is folded is not kept


def test_every_form_of_x_gets_the_same_bytes(at_once):
    rng = np.random.default_rng(2)
    p, X = weights(rng, Architecture(60, (9,), 4)), values(rng, "float32 dense", 4, 60)
    want = whole(net_of(p), X)
    wide, frozen, shifted = np.zeros((8, 120), np.float32), X.copy(), np.empty(X.nbytes + 1, np.uint8)[1:]
    wide[::2, ::2] = X
    frozen.flags.writeable = False
    shifted = shifted.view(np.float32).reshape(X.shape)
    shifted[...] = X
    for form in (
        X, np.asfortranarray(X), X.astype(np.float64), X.tolist(), X.reshape(4, 6, 10), wide[::2, ::2],
        X.astype(">f4"), np.vstack([X, X])[:5], frozen, shifted,
    ):  # fmt: skip
        assert kernels.predict_proba(net_of(p), form)[:4].tobytes() == want.tobytes()
        assert at_once[-1]
    whole_numbers = np.arange(240).reshape(4, 60)
    for kind in (np.int64, np.uint16, np.float16, ">f8"):
        of_ints = kernels.predict_proba(net_of(p), whole_numbers.astype(kind))
        assert of_ints.tobytes() == whole(net_of(p), whole_numbers.astype(np.float32)).tobytes()


def test_parameters_that_lie_otherwise_get_the_same_bytes(at_once):
    rng = np.random.default_rng(3)
    p, X = weights(rng, Architecture(60, (9,), 4)), values(rng, "uint8 sparse", 2, 60)
    turned = Parameters(tuple(np.asfortranarray(W) for W in p.weights), p.biases)
    net = net_of(turned, scale=255.0)
    for _ in range(2):
        assert kernels.predict_proba(net, X).tobytes() == whole(net_of(p, scale=255.0), X).tobytes()
        turned.weights[0][5, 3] = p.weights[0][5, 3] = 2.0  # copies of such arrays are not kept
    assert all(at_once)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whatever_is_written_into_a_net_is_seen(dtype):
    rng = np.random.default_rng(4)
    X, y = values(rng, "uint8 sparse", 100, 60), rng.integers(0, 4, 100)
    p = initialise(Architecture(60, (9,), 4), dtype=dtype)
    net = Net(Architecture(60, (9,), 4), p, Preprocessing(np.full(60, 255.0), np.ones(60, np.float32)))
    seen = set()

    def look():
        for n in (1, 5, 100):
            got = kernels.predict_proba(net, X[:n]).tobytes()
            assert got == whole(net, X[:n]).tobytes()
        seen.add(got)

    look()
    kernels.train_epoch(net, X, y, np.arange(100), lr=0.5)
    for array in (p.weights[0], p.biases[1], net.preprocessing.mean, net.preprocessing.scale):
        look()
        array[..., 0] += 1
    look()
    assert len(seen) == 6
    for seed in range(20):  # a new net may lie where an old one was
        other = net_of(initialise(Architecture(60, (9,), 4), seed=seed), scale=255.0)
        assert kernels.predict_proba(other, X[:1]).tobytes() == whole(other, X[:1]).tobytes()


def test_nothing_is_kept_in_a_net_or_a_model():
    X = np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)
    model, _ = fit(X, np.arange(40) % 3, hidden=(5,), epochs=1)
    before = pickle.dumps(model.net)
    want = model.predict_proba(X)
    assert pickle.dumps(model.net) == before
    copies = pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)
    for other in copies:
        assert other.predict_proba(X).tobytes() == want.tobytes()
    copies[1].parameters.weights[0][...] = 0
    assert model.predict_proba(X).tobytes() == copies[0].predict_proba(X).tobytes() == want.tobytes()
    assert copies[1].predict_proba(X).tobytes() != want.tobytes()
    known = len(in_place._known)
    del copies, other, model
    assert len(in_place._known) < known


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_that_are_not_finite_are_refused(monkeypatch, value, kind):
    p, X = initialise(Architecture(5, (3,), 2)), np.ones((200, 5), kind)
    X[150, 4] = value
    for threads, pays in ((1, in_place.PAYS), (2, 1)):
        monkeypatch.setattr(in_place, "PAYS", pays)
        for dtype in (np.float32, np.float64):
            with pytest.raises(DataError, match="row 150, column 4"):
                kernels.predict_proba(net_of(p.astype(dtype)), X, threads=threads)


def test_a_number_that_float32_cannot_hold_is_refused_by_a_net_of_float32_alone():
    p, X = initialise(Architecture(5, (3,), 2)), np.full((2, 5), 1e300)
    with pytest.raises(DataError, match="float32"):
        kernels.predict_proba(net_of(p), X)
    assert np.isfinite(kernels.predict_proba(net_of(p.astype(np.float64)), X)).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_does_not_fit_is_refused(kind):
    p = initialise(Architecture(5, (3,), 2))
    X = np.ones((1, 5), kind)
    with pytest.raises(ModelError, match=r"\(N, 5\)"):
        kernels.predict_proba(net_of(p), np.ones((1, 6), kind))
    with pytest.raises(DataError):
        kernels.predict_proba(net_of(p), X[:0])
    with pytest.raises(ModelError, match="mean"):
        kernels.predict_proba(net_of(p, mean=np.zeros(4, np.float32)), X)
    for scale in (0.0, -1.0, np.nan, np.inf, 1e-300, "many"):
        with pytest.raises(ConfigError, match="scale"):
            kernels.predict_proba(net_of(p, scale=scale), X)
    with pytest.raises(ConfigError, match="act"):
        kernels.predict_proba(net_of(p, act="swish"), X)
    for function in (kernels.predict_proba, kernels.logits, kernels.predict):
        with pytest.raises(ConfigError, match="net must be"):
            function(p, X)
        for threads in (0, "many", None):
            with pytest.raises(ConfigError, match="threads"):
                call(function, p, X, threads=threads)


def test_a_nan_in_a_weight_reaches_the_answer():
    p = initialise(Architecture(5, (3,), 2))
    p.weights[0][2, 1] = np.nan
    for n in (1, 100):
        assert np.isnan(kernels.predict_proba(net_of(p), np.ones((n, 5), np.uint8))).all()


def test_several_threads_may_ask_one_net_at_once():
    rng = np.random.default_rng(8)
    net, X = net_of(weights(rng, Architecture(70, (30,), 5))), values(rng, "float32 dense", 400, 70)
    want, wrong = whole(net, X).tobytes(), []

    def ask():
        for _ in range(50):
            if in_place.predict(net, X, "softmax", 2).tobytes() != want:
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads_share_the_rows_and_each_is_done_once():
    done, lock = [], threading.Lock()

    def work(lo, hi):
        with lock:
            done.append((lo, hi))
        return True

    assert in_place._shared(work, 1000, 64, 3)
    assert sorted(done) == [(lo, min(lo + 64, 1000)) for lo in range(0, 1000, 64)]
    assert not in_place._shared(lambda lo, hi: lo != 128, 1000, 64, 3)
    for problem in (ZeroDivisionError, KeyboardInterrupt):

        def fails(lo, hi, problem=problem):
            if lo == 128:
                raise problem
            return True

        with pytest.raises(problem):
            in_place._shared(fails, 1000, 64, 2)


def test_a_thread_that_gets_no_core_is_not_waited_for(monkeypatch):
    late = []
    monkeypatch.setattr(in_place, "start_new_thread", lambda member, args: late.append((member, args)))
    done = []
    assert in_place._shared(lambda lo, hi: done.append(lo) is None, 256, 64, 2)
    (member, (lock,)) = late[0]
    lock.release()
    member(lock)  # at last: nothing is left to do
    assert done == [0, 64, 128, 192]


def test_no_room_for_a_thread_costs_time_alone(monkeypatch):
    def none(member, args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(in_place, "start_new_thread", none)
    done = []
    assert in_place._shared(lambda lo, hi: done.append(lo) is None, 256, 64, 4)
    assert done == [0, 64, 128, 192]


def test_threads_begin_where_they_pay(monkeypatch):
    seen = []
    monkeypatch.setattr(
        in_place, "_shared", lambda work, n, step, members: seen.append(members) or work(0, n)
    )
    rng = np.random.default_rng(9)
    net = net_of(weights(rng, Architecture(784, (100,), 10)))
    X = (rng.integers(1, 255, (6000, 784)) * (rng.random((6000, 784)) < 0.19)).astype(np.uint8)
    for n, members in ((400, []), (2000, [1]), (6000, [2])):
        seen.clear()
        kernels.predict_proba(net, X[:n], threads=2)
        assert seen == members
    kernels.predict_proba(net, X, threads=1)
    assert seen[-1] == 1


GUARDED = """
    import ctypes, mmap
    import numpy as np
    from fastmlp.kernels import in_place
    from fastmlp.net import Net, Parameters
    from fastmlp.words.layers import Architecture, layers_of

    libc, PAGE, kept = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE, []

    def at_the_end(array):
        'The same array, before a page that nobody may read.'
        pages = -(-array.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 1) * PAGE)
        kept.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert libc.mprotect(ctypes.c_void_p(start + pages * PAGE), PAGE, 0) == 0
        flat = np.frombuffer(memory, np.uint8, array.nbytes, pages * PAGE - array.nbytes)
        out = flat.view(array.dtype).reshape(array.shape)
        out[...] = array
        return out

    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        for D in (1, 7, 63, 64, 65, 66, 71, 130):
            for hidden in ((), (1,), (3, 2), (9,), (66, 100), (105, 7)):
                for K in (1, 2, 3, 10):
                    architecture = Architecture(D, layers_of(hidden, "tanh"), K)
                    arrays = [[at_the_end(rng.normal(size=s).astype(dtype)) for s in sizes]
                              for sizes in (architecture.shapes, [s[1:] for s in architecture.shapes])]
                    net = Net(architecture, Parameters(*map(tuple, arrays)))
                    for n in (1, 5, 64):
                        X = at_the_end(rng.integers(0, 3, (n, D)).astype(rng.choice([np.uint8, np.float32])))
                        in_place.predict(net, X, "sigmoid")
    print("all read")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="memory is guarded otherwise there")
def test_nothing_is_read_behind_the_end_of_an_array():
    program = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GUARDED)], capture_output=True, text=True, check=False
    )
    assert program.stdout == "all read\n", program.stderr[-2000:]
