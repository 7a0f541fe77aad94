"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products are small here: other threads would only spin

import numpy as np
import pytest

from fastmlp.errors import DataError
from fastmlp.spec import DRIVERS


def _hear_signals() -> None:
    """As a terminal leaves them: nohup and a shell have some ignored, in every process begun here too."""
    for name, heard in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, heard)


_hear_signals()
MNIST = os.environ.pop("FASTMLP_DATA", None)  # a test that reads it asks for mnist_folder, which marks it


def pytest_itemcollected(item: pytest.Item) -> None:
    """What asks for the real MNIST, itself or by way of a fixture, is marked ``mnist``."""
    if "mnist_folder" in getattr(item, "fixturenames", ()):
        item.add_marker("mnist")


MOST_CASES, MOST_SLOW_CASES = 4, 100  # of one test that the gate runs
EVERY = ("test_package.py", "test_docs.py")  # each case of theirs is another file: all are run


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with many cases the gate runs a drawn sample, always the same; the others are ``further``."""
    cases: dict[tuple[str, int], list[pytest.Item]] = {}
    for item in items:
        if item.path.name in EVERY:
            continue
        most = MOST_SLOW_CASES if item.get_closest_marker("slow") else MOST_CASES
        cases.setdefault((item.nodeid.partition("[")[0], most), []).append(item)
    for (_, most), drawn in cases.items():
        drawn.sort(key=lambda item: hashlib.sha256(item.name.encode(errors="replace")).digest())
        for item in drawn[most:]:
            item.add_marker("slow")
            item.add_marker("further")


_compiling: dict[str, subprocess.Popen[bytes]] = {}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where all tests are asked for, the kernels of both drivers are compiled while they are collected."""
    config = session.config
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.collectonly:
        script = Path(__file__).parent / "support" / "compile_kernels.py"
        _compiling.update({name: subprocess.Popen([sys.executable, script, name]) for name in DRIVERS})


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the search for garbage need not go through it again and again."""
    if "team" in _compiling:
        _compiling.pop("team").wait()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of data and of facades, which come first, do without the other driver."""
    if _compiling and item.path.parent.name not in ("data", "facades"):
        _compiling.popitem()[1].wait()


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The real MNIST: FASTMLP_DATA, else ../shared/mnist. Never skips where FASTMLP_DATA is set."""
    folder = Path(MNIST) if MNIST else Path(__file__).parents[2] / "shared" / "mnist"
    if not MNIST and not folder.is_dir():
        pytest.skip("no MNIST: set FASTMLP_DATA to a folder with the four files")
    return folder


@pytest.fixture
def data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No FASTMLP_DATA, no proxies, and an empty cache, whose folder for MNIST this is."""
    from fastmlp import cache_dir
    from fastmlp.data import mnist

    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    home = tmp_path / "cache" / "fastmlp"
    monkeypatch.setattr(cache_dir, "home", lambda: home)
    monkeypatch.setattr(mnist, "cache_folder", lambda: home / "mnist")
    return home / "mnist"


@pytest.fixture(scope="session")
def data_idx() -> Callable[[np.ndarray], bytes]:
    """A function: the IDX file of an array of unsigned bytes."""

    def write(array: np.ndarray) -> bytes:
        return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()

    return write


@pytest.fixture(scope="session")
def data_refused() -> Callable[[str], AbstractContextManager[None]]:
    """A context that must end in a DataError of one line: what must be what; got what. Do this."""

    @contextmanager
    def refused(match: str) -> Iterator[None]:
        with pytest.raises(DataError, match=match) as caught:
            yield
        error = caught.value
        assert error.must
        assert str(error.got)
        assert error.do
        assert "\n" not in str(error)
        assert len(str(error)) < 500

    return refused


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws without naming a seed is the same in every run: it fails in all, or in none."""
    from fastmlp.keras.utils import set_random_seed

    set_random_seed(1)  # Python's, NumPy's and the models' of fastmlp.keras
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)
        sys.modules["torch"].set_num_threads(1)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(1)


for folder in ("support", "facades", "kernels"):  # importlib mode leaves them out
    sys.path.append(str(Path(__file__).parent / folder))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With -v: the largest error of each kind beside its tolerance."""
    import compare

    if terminalreporter.verbosity > 0 and compare.WORST:
        terminalreporter.section("largest norm-wise errors")
        for what, worst in sorted(compare.WORST.items()):
            terminalreporter.write_line(f"{what:24} {worst:9.2e} of {compare.TOLERANCES[what]:g}")
        for what, count in sorted(compare.DROPPED.items()):
            terminalreporter.write_line(f"{what:24} {count}")


@pytest.fixture
def no_work_is_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little work has as many threads as it is given, too: else one thread would do it."""
    for name in ("TINY", "TINY_STEP"):
        monkeypatch.setattr(f"fastmlp.kernels.launch.{name}", 0)
