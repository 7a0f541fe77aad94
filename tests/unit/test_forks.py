"""A fork while another thread imports or compiles: the child finds no lock taken, and trains."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading

import pytest

from fastmlp import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

CHILD = """
import gc, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of threads and fork, from Python 3.12 on

def child(work):
    number = os.fork()
    if number == 0:
        signal.alarm(int(sys.argv[1]))  # whoever waits for a lost thread is ended
        work()
        os._exit(0 if gc.isenabled() else 3)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
"""

SMALL = """
import numba, numpy as np
from fastmlp.kernels import jit

def compile():
    numba.njit(lambda x: x + 1)(1.0)

thread = threading.Thread(target=lambda: numba.njit(lambda x: np.sqrt(x).sum())(np.ones(3)))
thread.start()
codes = [child(compile) for _ in range(2)]
thread.join()
raise SystemExit(any(codes))
"""

IMPORT = """
import fastmlp

def build():
    fastmlp.initialise(fastmlp.Architecture(3, (2,), 2))
    fastmlp.reference

threads = [threading.Thread(target=build) for _ in range(2)]
for thread in threads:
    thread.start()
code = child(build)
for thread in threads:
    thread.join()
raise SystemExit(code)
"""

LOGGING = """
import fastmlp  # before logging: then its hook is the first to run, and takes its lock
import logging
from fastmlp import forks

lock, inside = threading.Lock(), threading.Event()
forks.wait_for(lock)

def compile():
    with lock:
        inside.set()
        time.sleep(0.5)  # the fork is waiting for the lock by now
        with logging._lock:
            pass

thread = threading.Thread(target=compile)
thread.start()
inside.wait()
signal.alarm(int(sys.argv[1]))
code = child(lambda: logging.getLogger("child").warning("x" * 0))
thread.join()
with logging._lock:
    raise SystemExit(code or logging._lock._is_owned() is False)
"""

WHOLE = """
import numpy as np
import fastmlp

X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)

def train():
    fastmlp.fit(X, y, epochs=1, scale=1.0, threads=2)

thread = threading.Thread(target=train)
thread.start()
time.sleep(float(sys.argv[2]))
code = child(train)
thread.join()
raise SystemExit(code)
"""


def ran(script, *args, **env):
    command = [sys.executable, "-c", CHILD + script, *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=os.environ | env
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", [SMALL, IMPORT], ids=["compiling", "importing"])
def test_a_child_forked_meanwhile_goes_on(script):
    done = ran(script, 60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.slow
def test_who_compiles_may_log_while_a_fork_waits():
    done = ran(LOGGING, 30)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "\n"  # what the child logged


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.05, 3])
def test_a_child_forked_while_the_kernels_are_compiled_trains(after, tmp_path):
    done = ran(WHOLE, 600, after, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_locks_are_taken_by_a_fork_and_free_after_it(monkeypatch):
    order = []

    class Lock:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            order.append(f"+{self.name}")

        def __exit__(self, *_):
            order.append(f"-{self.name}")

    monkeypatch.setattr(forks, "_locks", [])
    forks.wait_for(Lock("a"), Lock("b"))
    forks._before()
    assert order == ["+a", "+b"]
    forks._after()
    assert order == ["+a", "+b", "-b", "-a"]
    forks._after()
    assert len(order) == 4


def test_a_fork_waits_for_a_lock_that_another_thread_holds(monkeypatch):
    lock, inside = threading.RLock(), threading.Event()
    done = threading.Event()
    monkeypatch.setattr(forks, "_locks", [lock])

    def hold():
        with lock:
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    waiting = threading.Thread(target=lambda: (forks._before(), forks._after()))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    done.set()
    waiting.join(30)
    assert not waiting.is_alive()
    thread.join()


def test_forks_of_several_threads_take_turns(monkeypatch):
    monkeypatch.setattr(forks, "_locks", [threading.RLock(), threading.RLock()])
    failures = []

    def fork():
        try:
            for _ in range(300):
                forks._before()
                assert len(forks._taken) == 2
                forks._after()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=fork) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not forks._taken


def test_imports_of_other_threads_are_waited_for_and_no_others(tmp_path, monkeypatch):
    """Not those of the thread that forks, nor of packages that may run a program as they are imported."""
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forks, "PACKAGES", {"waits_a_while"})
    monkeypatch.setattr(forks, "_locks", [])
    monkeypatch.setattr(forks, "events", (begun, go_on), raising=False)
    text = "from fastmlp import forks; forks.events[0].set(); forks.events[1].wait(30)"
    for name in ("waits_a_while", "runs_a_program"):
        (tmp_path / f"{name}.py").write_text(text)

    def busy(name):
        begun.clear()
        go_on.clear()
        thread = threading.Thread(target=importlib.import_module, args=(name,))
        thread.start()
        begun.wait(30)
        found = forks._being_imported()
        go_on.set()
        thread.join()
        return found

    assert busy("runs_a_program") == []
    assert busy("waits_a_while") == ["waits_a_while"]
    assert forks._being_imported() == []
    sys.modules.pop("waits_a_while")
    go_on.set()
    (tmp_path / "waits_a_while.py").write_text("from fastmlp import forks; forks._before(); forks._after()")
    importlib.invalidate_caches()
    importlib.import_module("waits_a_while")
