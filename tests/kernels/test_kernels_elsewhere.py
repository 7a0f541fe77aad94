"""The same bytes without the compiler, on a plain processor, from prange; and in forks, pools, threads."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import small_trainings
from nets import net_of
from small_trainings import fitted

from fastmlp import Architecture, initialise, kernels
from fastmlp.errors import ConfigError
from fastmlp.kernels import launch, layout
from fastmlp.net import Preprocessing

HERE = Path(__file__).parents[1] / "support"
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


def elsewhere(*arguments, **environment):
    """What small_trainings.py prints in a process with these variables."""
    ran = subprocess.run(
        [sys.executable, str(HERE / "small_trainings.py"), *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def here():
    """The digest of each form, from this process."""
    return {form: small_trainings.trained(form, 1) for form in small_trainings.FORMS}


def same(found, here, threads):
    assert found == {f"{form}, {n} threads": here[form] for form in here for n in threads}


@pytest.mark.slow
def test_bytes_are_those_of_the_twins_without_the_compiler(here):
    same(elsewhere("1", "2", NUMBA_DISABLE_JIT="1"), here, (1, 2))


@pytest.mark.slow
def test_bytes_are_those_of_a_processor_without_wide_vectors(here):
    same(elsewhere("2", NUMBA_CPU_NAME="generic"), here, (2,))


@pytest.mark.slow
def test_bytes_are_those_of_the_other_driver(here):
    same(elsewhere("1", "2", "3", "8", "--driver", "prange", NUMBA_NUM_THREADS="8"), here, (1, 2, 3, 8))


def test_small_trainings_tell_forms_apart(here):
    assert len(set(here.values())) == len(here)


@pytest.mark.parametrize(("form", "shares"), [("bytes wide", [0, 0.245, 1]), ("bytes uneven", [0, 1, 1])])
def test_small_trainings_have_shares_of_both_kinds(form, shares):
    X, _, scale, mean = small_trainings.data(form)
    X, hidden = kernels.encode(X), small_trainings.SHAPES["bytes"]
    work = layout.build(net_of(initialise(Architecture(X.shape[1], hidden, 3))), X, 4, 2)
    rows = layout.rows_of(X, Preprocessing(scale, mean))
    assert launch._halves(X, rows, work.layout)[1] == pytest.approx(shares, abs=0.001)


# --- prange ---------------------------------------------------------------------------------------

PRANGE = """
import os, sys, threading
sys.path.append({tests!r})
import numpy as np
import small_trainings
from nets import learnable, net_of
from fastmlp.backends.threads import ThreadTuner
from fastmlp import Architecture, ConfigError, DivergedError, initialise, kernels
from fastmlp.kernels import launch
launch.TINY = launch.TINY_STEP = 0  # or one thread would do all of it

want = small_trainings.trained("bytes", 1)
X = learnable(1, 60, 30, 3)[0].astype(np.float32) / 255
X[47] = 3e38
try:
    kernels.train_epoch(net_of(initialise(Architecture(30, (5,), 3))), X, np.zeros(60, int), np.arange(60),
                        batch_size=10, threads=ThreadTuner(3, "prange"))
except DivergedError as error:
    assert error.batch == 5, error
else:
    sys.exit("no divergence")

found = []
def run():
    found.append(small_trainings.trained("bytes", 2, "prange"))
runs = [threading.Thread(target=run) for _ in range(2)]
for thread in runs: thread.start()
for thread in runs: thread.join()
assert found == [want] * 2, found

child = os.fork() if hasattr(os, "fork") else None
if child == 0:
    code = 1
    try:
        small_trainings.trained("bytes", 2, "prange")
    except ConfigError as error:
        code = 0 if "forked" in str(error) and small_trainings.trained("bytes", 2) == want else 2
    finally:
        os._exit(code)
if child is not None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.slow
def test_prange_names_divergence_is_alone_and_refuses_a_fork():
    script = PRANGE.format(tests=str(HERE))
    environment = {**os.environ, "NUMBA_NUM_THREADS": "8"}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr


def test_prange_is_refused_after_a_fork_alone(monkeypatch):
    from fastmlp.kernels import prange

    monkeypatch.setattr(prange, "_launched_by", {os.getpid() + 1})
    with pytest.raises(ConfigError, match="forked"):
        small_trainings.trained("bytes", 2, "prange")
    monkeypatch.setattr(prange, "_launched_by", set())
    small_trainings.trained("bytes", 2, "prange")


# --- the team in forks, pools and threads ---------------------------------------------------------


@FORK
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_fits_after_its_parent_did():
    want, (read, write) = fitted(2), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, fitted(2).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as pipe:
        assert pipe.read() == want
    os.waitpid(child, 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("how", multiprocessing.get_all_start_methods())
def test_fits_in_a_pool_of_processes(how, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))
    want = fitted(1)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(how)) as pool:
        assert list(pool.map(fitted, [1, 2], timeout=100)) == [want] * 2


def test_fits_in_two_threads():
    want, found = fitted(1), []
    runs = [threading.Thread(target=lambda n=n: found.append(fitted(n))) for n in (2, "auto")]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert found == [want] * 2


ENDLESS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & turns it off
sys.path.append({tests!r})
import numpy as np
from nets import learnable, net_of
from fastmlp import Architecture, initialise, kernels
from fastmlp.backends.threads import ThreadTuner
X, y = learnable(1, 500, 300, 4)
tuner = ThreadTuner({threads!r}, {driver!r})
p = initialise(Architecture(300, (200,), 4))
before = p.sha256()
kernels.train_epoch(net_of(p.copy(), scale=255), X, y, np.arange(500), threads=tuner)
began = lambda done: (sys.stdout.write("on\\n"), sys.stdout.flush())
try:
    order = np.tile(np.arange(500), 100_000)
    kernels.train_epoch(net_of(p, scale=255), X, y, order, threads=tuner, progress=began)
except KeyboardInterrupt:
    assert p.sha256() == before
    sys.stdout.write("stopped")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT of POSIX")
@pytest.mark.parametrize(("threads", "driver"), [(1, "team"), (3, "team"), ("auto", "team"), (2, "prange")])
def test_ctrl_c_ends_an_epoch_of_minutes(threads, driver):
    script = ENDLESS.format(tests=str(HERE), threads=threads, driver=driver)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "on\n"
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            rest = child.communicate(timeout=60)[0]
        finally:
            child.kill()
    assert rest.splitlines()[-1] == "stopped"
    assert child.returncode == 0
