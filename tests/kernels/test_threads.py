"""The promise: the same bytes for any number of threads, from any process, and all of them really run."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from compare import digest
from nets import call, learnable, net_of, values

from fastmlp import Architecture, Parameters, initialise, kernels, random
from fastmlp.kernels import team
from fastmlp.words.layers import layers_of

THREADS = (1, 2, 3, 5, 8)
ARCHITECTURES = [((), "relu"), ((100,), "relu"), ((33, 17), "tanh"), ((9,), "sigmoid"), ((64, 32), "relu")]


def trained(hidden, act, X, y, *, threads, batch_size, epochs=3, mean=None, scale=255.0, loss="logits"):
    """Digest of all that a training leaves behind."""
    K = int(y.max()) + 1
    p = initialise(Architecture(X.shape[1], layers_of(hidden, act), K), seed=7)
    options = {"act": act, "scale": scale, "mean": mean, "threads": threads}
    X, totals = kernels.encode(X), []
    for epoch in range(epochs):
        order = random.permutation(len(y), 7, "order", epoch)
        totals.append(
            call(kernels.train_epoch, p, X, y, order, lr=0.05, batch_size=batch_size, loss=loss, **options)
        )
    assert [t.members for t in totals] == [threads] * epochs
    step = call(kernels.loss_and_gradients, p, X, y, loss=loss, **options)
    return digest(
        *p, [t[:4] for t in totals], *step.gradients, step.loss, step.correct, step.live,
        call(kernels.predict_proba, p, X, **options),
        call(kernels.evaluate, p, X, y, loss=loss, **options)[:2],
        call(kernels.dead_units, p, X, **options), *call(kernels.forward, p, X, **options),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hidden", "act", "batch_size"),
    [  # every other pair is slow
        pytest.param(*net, batch_size, marks=[pytest.mark.slow] * ((i + j) % 2))
        for i, net in enumerate(ARCHITECTURES)
        for j, batch_size in enumerate((1, 7, 64, 65, 100, 129, 1000))
    ],
)
def test_bytes_do_not_depend_on_the_threads(hidden, act, batch_size):
    X, y = learnable(1, 150 if batch_size == 1 else 330, 90, 6)
    seen = {
        threads: trained(hidden, act, X, y, threads=threads, batch_size=batch_size, epochs=2)
        for threads in THREADS
    }
    assert len(set(seen.values())) == 1, seen


@pytest.mark.parametrize("kind", ["uint8 dense", "float32 dense", "float32 sparse", "uint8 centred"])
@pytest.mark.parametrize("loss", ["logits", "clip:0.05,0.9"])
def test_bytes_do_not_depend_on_the_threads_for_any_data(kind, loss):
    rng = np.random.default_rng(2)
    X, y = values(rng, kind, 257, 70), rng.integers(0, 5, 257)
    mean = X.mean(axis=0).astype(np.float32) if kind.endswith("centred") else None
    options = {"mean": mean, "scale": 255.0 if X.dtype == np.uint8 else 1.0, "loss": loss}
    seen = {trained((20,), "relu", X, y, threads=n, batch_size=100, **options) for n in THREADS}
    assert len(seen) == 1


def test_bytes_do_not_depend_on_the_threads_on_raw_pixels():
    """Chaotic training: one bit of difference would be seen at once."""
    X, y = learnable(3, 1000, 200, 10)
    seen = {trained((50,), "relu", X, y, threads=n, batch_size=100, scale=1.0) for n in THREADS}
    assert len(seen) == 1


def test_sums_of_losses_do_not_depend_on_the_threads():
    """Losses from 1e-3 to 1e14: ordinary ones add up exactly in float64, in whatever order."""
    rng = np.random.default_rng(9)
    X = (10 ** rng.uniform(-3, 14, (400, 1))).astype(np.float32)
    y, seen = np.zeros(400, np.int64), set()
    for threads in THREADS:
        p = Parameters((np.array([[-1, 1]], np.float32),), (np.zeros(2, np.float32),))
        step = kernels.loss_and_gradients(net_of(p), X, y, threads=threads)
        totals = kernels.train_epoch(
            net_of(p), X, y, np.arange(400), lr=1e-30, batch_size=150, threads=threads
        )
        seen.add((step.loss, totals.loss))
    assert len(seen) == 1


def test_digest_of_a_training_sees_one_changed_pixel():
    X, y = learnable(3, 300, 90, 6)
    changed = X.copy()
    changed[5, 7] ^= 1
    assert trained((9,), "relu", X, y, threads=2, batch_size=64) != trained(
        (9,), "relu", changed, y, threads=2, batch_size=64
    )


SCRIPT = """
import sys
sys.path += {tests!r}
from nets import learnable
from test_threads import trained
from fastmlp.kernels import launch
launch.TINY = launch.TINY_STEP = 0  # or one thread would do all of it
X, y = learnable(4, 400, 120, 7)
print(trained((40, 11), "relu", X, y, threads={threads}, batch_size=65))
"""


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_bytes_are_those_of_another_process(threads):
    script = SCRIPT.format(
        tests=[str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)], threads=threads
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    X, y = learnable(4, 400, 120, 7)
    assert ran.stdout.strip() == trained((40, 11), "relu", X, y, threads=2, batch_size=65)


# --- who ran ------------------------------------------------------------------------------------


def team_names():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("fastmlp-")}


def nobody_is_left():
    """Soon: on a busy machine, a member that was told to stop may have to wait for a core."""
    deadline = time.monotonic() + 30
    while team_names() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not team_names()


@pytest.mark.slow
@pytest.mark.parametrize("threads", THREADS)
def test_every_member_is_a_living_thread(threads):
    """Also with more of them than cores: an explicit number is honoured."""
    X, y = learnable(5, 400, 300, 5)
    X = kernels.encode(X)
    for copies in (300, 1200, 4800):  # until the epoch is long enough to be looked at
        p, order, seen = initialise(Architecture(300, (200,), 5)), np.tile(np.arange(400), copies), []

        def look(done, seen=seen):
            seen.append((done, team_names()))

        totals = kernels.train_epoch(net_of(p, scale=255), X, y, order, threads=threads, progress=look)
        assert totals.members == threads
        if len({done for done, _ in seen}) > 2:
            break
    early = [names for done, names in seen if done < len(order)]
    assert early, "the epoch was over before anybody looked"
    assert max(early, key=len) == {f"fastmlp-{m}" for m in range(threads)}
    done = [n for n, _ in seen]
    assert done == sorted(done)
    assert 0 < max(done) <= len(order)
    assert nobody_is_left(), "a thread outlived its epoch"


def test_every_member_works_on_its_own_share(monkeypatch):
    """Each compiled call is made once a member, by a thread of its own, while all others are inside too."""
    inside, most, calls = set(), [0], []
    lock, real = threading.Lock(), kernels.launch.epoch.run

    def watched(state, m, members, *rest):
        with lock:
            calls.append((m, threading.current_thread().name))
            inside.add(m)
            most[0] = max(most[0], len(inside))
        real(state, m, members, *rest)
        with lock:
            inside.discard(m)

    class Epoch:
        run = staticmethod(watched)

        def __getattr__(self, name):
            return getattr(sys.modules["fastmlp.kernels.epoch"], name)

    monkeypatch.setattr(kernels.launch, "epoch", Epoch())
    X, y = learnable(6, 500, 100, 4)
    p = initialise(Architecture(100, (30,), 4))
    kernels.train_epoch(net_of(p, scale=255), X, y, np.arange(500), threads=8, batch_size=50)
    assert sorted(calls) == [(m, f"fastmlp-{m}") for m in range(8)]
    assert most[0] == 8  # nobody leaves before the last has come: the barrier


def test_the_first_member_begins_at_once_and_the_others_a_moment_later(monkeypatch):
    waited = []
    monkeypatch.setattr(team.time, "sleep", lambda s: waited.append((threading.current_thread().name, s)))
    assert team.run(lambda state, m: None, 3, 3)[0] == 3
    assert sorted(waited) == [(f"fastmlp-{m}", team._ASIDE) for m in (1, 2)]


def test_a_member_that_fails_stops_the_team():
    def member(state, m):
        if m == 2:
            raise ZeroDivisionError("member 2")
        while not state[team.ABORT]:
            time.sleep(0.001)

    with pytest.raises(ZeroDivisionError, match="member 2"):
        team.run(member, 4, 2)
    assert nobody_is_left()


def test_an_exception_in_progress_stops_the_epoch_and_changes_nothing():
    X, y = learnable(7, 400, 300, 5)
    p = initialise(Architecture(300, (200,), 5))
    before = p.sha256()

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernels.train_epoch(
            net_of(p, scale=255), X, y, np.tile(np.arange(400), 50_000), threads=3, progress=stop
        )
    assert p.sha256() == before
    assert nobody_is_left()  # whole, it would take minutes


def test_two_trainings_at_once_do_not_disturb_each_other():
    X, y = learnable(8, 500, 100, 4)

    def train(threads):
        return trained((30,), "relu", X, y, threads=threads, batch_size=50)

    alone, found = train(2), []
    runs = [threading.Thread(target=lambda n=n: found.append(train(n))) for n in (1, 2, 3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert found == [alone] * 3
