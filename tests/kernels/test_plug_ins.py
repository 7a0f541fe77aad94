"""Plug-ins: each compiled by itself when it is wanted, kept in a file, and called by its place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from numba import njit

from fastmlp.kernels import activations, cache, jit, losses, optimizers
from fastmlp.kernels.intrinsics import address
from fastmlp.kernels.plug_ins import BOOL, FLOAT, FLOATS, INT, PLUG_INS, PlugIn, caller, kind

KIND = kind((INT, BOOL), losses.NO_LOSS, FLOATS, INT, FLOAT)
call = caller(KIND)


def scaled(factor):
    """A function that closes over a number and a function."""
    plus = jit.device(lambda x, y: x + y)

    def scale(loss, x, n, number):
        for i in range(n):
            x[i] = plus(x[i] * factor, number)
        return n, loss.weighted

    return scale


@njit
def called(place, loss, x, number):
    return call(place, address(loss), address(x), len(x), number)


@njit
def called_wrongly(place, loss, x):
    return call(place, address(loss), address(x), len(x), 2.5)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where the kernels of a test are kept."""
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    return tmp_path


def result(plug_in):
    """What it returns, and makes of 1 and 2 with 3."""
    x = np.array([1, 2], np.float32)
    return called(plug_in.place, losses.NO_LOSS._replace(weighted=True), x, np.float32(3)), x.tolist()


def test_a_plug_in_is_called_with_structs_and_returns_several_values(folder):
    assert result(PlugIn("two", scaled(2), KIND)) == ((2, True), [5, 7])
    assert result(PlugIn("ten", scaled(10), KIND)) == ((2, True), [13, 23])
    assert len(called.signatures) == 1


def test_arguments_of_other_types_are_refused(folder):
    with pytest.raises(Exception, match="call"):
        called_wrongly(PlugIn("two", scaled(2), KIND).place, losses.NO_LOSS, np.zeros(2, np.float32))


def test_a_plug_in_is_a_file_that_is_loaded(folder):
    first, other = PlugIn("two", scaled(2), KIND), PlugIn("ten", scaled(10), KIND)
    assert not list(folder.iterdir())
    assert result(first) == ((2, True), [5, 7])
    (path,) = folder.iterdir()
    assert path.name.startswith("two-")
    assert path.suffix == cache.SUFFIX
    assert result(other) == ((2, True), [13, 23])  # of the same code
    again = PlugIn("two", scaled(2), KIND)  # closes over another function
    assert result(again) == ((2, True), [5, 7])
    assert [sum(each._code._cache_hits.values()) for each in (first, other, again)] == [0, 0, 1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="compiled again"):
        assert result(PlugIn("two", scaled(2), KIND)) == ((2, True), [5, 7])


def test_the_mark_of_a_kernel_names_the_plug_ins_that_ran(folder):
    result(PlugIn("two", scaled(2), KIND))
    jit.keep("sum")
    assert jit.is_kept("sum")
    next(folder.glob("two-*")).unlink()
    assert not jit.is_kept("sum")


def test_threads_that_want_one_compile_it_once(folder, monkeypatch):
    compiled, separate = [], jit.separate
    monkeypatch.setattr(jit, "separate", lambda *given: compiled.append(given) or separate(*given))
    two, found = PlugIn("two", scaled(2), KIND), []
    threads = [threading.Thread(target=lambda: found.append(two.place)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [two.place] * 4
    assert two.place != 0
    assert len(compiled) == 1


def test_nothing_that_cannot_be_kept_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(jit, "cache_folder", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert result(PlugIn("two", scaled(2), KIND)) == ((2, True), [5, 7])


def test_plug_ins_have_names_of_their_own():
    names = [each.name for each in PLUG_INS if each.function.__module__.startswith("fastmlp.")]
    assert len(set(names)) == len(names)
    assert {
        *activations.ACTIVATIONS,
        *losses.HEADS,
        *(each.name for each in optimizers.STEPS.values()),
    } <= set(names)


WANTED = """
from fastmlp.kernels import jit
wanted, separate = [], jit.separate
jit.separate = lambda function, name, *more: wanted.append(name) or separate(function, name, *more)
import numpy as np
from fastmlp import fit
from fastmlp.kernels.warmup import warm_up
warm_up()
X, y = np.eye(20, dtype=np.uint8), np.arange(20) % 2
fit(X, y, epochs=1, test_data=(X, y))[0].predict(X)
print(*sorted(wanted))
fit(X, y, epochs=1, act="tanh", optimizer="adam")
print(*sorted(wanted))
fit(X, y, epochs=1, optimizer="adamw", clip_norm=1, l1=0.1)
print(*sorted(wanted))
"""


@pytest.mark.slow
def test_words_that_are_not_used_are_not_compiled():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", WANTED], env=environment, capture_output=True, text=True, timeout=300
    )
    plain, more, most = (line.split() for line in ran.stdout.splitlines()) if ran.stdout else [[]] * 3
    assert plain == ["link_softmax", "relu", "relu_slope", "softmax"], ran.stderr
    assert more == sorted([*plain, "adam", "tanh", "tanh_slope"])
    assert most == sorted([*more, "prepare"])
