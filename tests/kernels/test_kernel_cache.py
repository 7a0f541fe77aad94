"""The cache of compiled kernels: what is damaged, stale, raced or unwritable costs a compilation at most.

A small kernel of this file stands for the real ones; what only a new process shows runs in one.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastmlp import cache_dir
from fastmlp.cache_dir import forget_unused, private_folder
from fastmlp.kernels import cache, jit

X = np.arange(5, dtype=np.float32)
HEADER = len(cache.MAGIC) + 32

posix = pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME moves the cache on Linux alone")


def total(x):
    result = np.float32(0)
    for value in x:
        result += value
    return result


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where the kernels of a test are kept."""
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The file of ``total``, compiled once for float32."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jit, "cache_folder", lambda: folder)
        assert fresh(X) == (10, False)
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def kept(folder, compiled):
    """The same in the folder of a test."""
    return Path(shutil.copy(compiled, folder))


def fresh(x, function=total):
    """What a newly decorated function returns, and whether it came from the cache."""
    compiled = jit.kernel(function)
    result = compiled(x)
    (hits, misses) = sum(compiled._cache_hits.values()), sum(compiled._cache_misses.values())
    assert hits + misses == 1
    return result, hits == 1


def flip(content: bytes, byte: int, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[byte] ^= 1 << bit
    return bytes(damaged)


def with_sum(payload: bytes) -> bytes:
    import hashlib

    return cache.MAGIC + hashlib.sha256(payload).digest() + payload


def replaced_after_one_warning(path: Path, match: str) -> None:
    """A run with this file is right and warns once; the next one finds a whole file."""
    with pytest.warns(RuntimeWarning, match=match) as said:
        assert fresh(X) == (10, False)
    assert len(said) == 1
    assert str(path) in str(said[0].message)
    assert cache.is_whole(path)
    assert fresh(X) == (10, True)


def test_a_signature_is_a_file_that_is_loaded(kept, folder):
    assert fresh(X) == (10, True)
    assert fresh(X.astype(np.float64)) == (10, False)
    assert fresh(X.astype(np.float64)) == (10, True)
    assert fresh(X.astype(np.float64)[::2]) == (6, False)  # another layout
    names = [path.name for path in folder.iterdir()]
    assert len(names) == 3
    assert all(name.startswith("total-") and name.endswith(cache.SUFFIX) for name in names)


def test_functions_of_one_name_are_kept_apart(kept):
    def other(x):
        return np.float32(1)

    other.__name__ = "total"
    assert fresh(X, other) == (1, False)
    assert fresh(X, other) == (1, True)
    assert fresh(X) == (10, True)


PLACES = [0, len(cache.MAGIC), HEADER - 1, HEADER, HEADER + 9, 0.3, 0.5, 0.8, -1]


@pytest.mark.parametrize(("at", "bit"), [(at, 7 * (i % 2)) for i, at in enumerate(PLACES)])
def test_a_flipped_bit(kept, at, bit):
    content = kept.read_bytes()
    kept.write_bytes(flip(content, int(at * len(content)) if isinstance(at, float) else at, bit))
    assert not cache.is_whole(kept)
    replaced_after_one_warning(kept, "compiled again")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
@pytest.mark.parametrize("what", ["pipe", "link to a device", "folder"])
def test_what_is_no_file_is_waited_for_by_nobody(kept, what):
    """It is compiled, once; a pipe and a link are replaced, a folder stays."""
    kept.unlink()
    if what == "pipe":
        os.mkfifo(kept)
    elif what == "folder":
        kept.mkdir()
    else:
        kept.symlink_to("/dev/zero")
    assert not cache.is_whole(kept)
    if what == "folder":
        with pytest.warns(RuntimeWarning, match="compiled"):
            assert fresh(X) == (10, False)
        assert kept.is_dir()
    else:
        replaced_after_one_warning(kept, "a folder, a pipe or a device")


def test_a_pipe_in_the_place_of_a_mark_is_no_mark(folder):
    os.mkfifo(folder / "run.kept")
    assert not jit.is_kept("run")


@pytest.mark.parametrize("left", [0, 1, len(cache.MAGIC), HEADER, HEADER + 1, 0.5, -1])
def test_a_truncated_file(kept, left):
    content = kept.read_bytes()
    kept.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    replaced_after_one_warning(kept, "compiled again")


@pytest.mark.parametrize(
    "content",
    [b"garbage", bytes(5000), b"fastmlp kernel 0\n" + bytes(100), with_sum(b""), with_sum(b"no pickle")],
)
def test_a_file_of_another_kind(kept, content):
    kept.write_bytes(content)
    replaced_after_one_warning(kept, "compiled again")


def test_what_numba_cannot_rebuild(kept):
    key, _ = pickle.loads(kept.read_bytes()[HEADER:])
    kept.write_bytes(with_sum(pickle.dumps((key, ("nonsense",)))))
    replaced_after_one_warning(kept, "compiled again")


def test_the_file_of_another_signature_under_this_name(kept, folder):
    fresh(X.astype(np.float64))
    (other,) = (path for path in folder.iterdir() if path != kept)
    kept.write_bytes(other.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fresh(X) == (10, False)
        assert fresh(X) == (10, True)


class Traitor:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return Path.touch, (self.proof,)


def test_nothing_is_unpickled_before_the_sum_is_checked(kept, tmp_path):
    proof = tmp_path / "proof"
    payload = pickle.dumps(Traitor(proof))
    kept.write_bytes(with_sum(payload)[:-1] + b"!")
    replaced_after_one_warning(kept, "sum is wrong")
    assert not proof.exists()
    kept.write_bytes(with_sum(payload))  # the same file would do it
    cache._warned.clear()
    replaced_after_one_warning(kept, "compiled again")
    assert proof.exists()


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setattr(jit, "cache_folder", lambda: blocked)
    with pytest.warns(RuntimeWarning, match="compiled again in every process") as said:
        results = [fresh(X), fresh(X), fresh(X[:3])]
    assert results == [(10, False), (10, False), (3, False)]
    assert len(said) == 1
    assert blocked.read_text() == "in the way"


def test_a_mark_cannot_lie(kept, folder):
    assert fresh(X) == (10, True)
    assert not jit.is_kept("sum")
    jit.keep("sum")
    assert jit.is_kept("sum")
    assert jit.is_kept()
    assert not jit.is_kept("product")
    content = kept.read_bytes()
    kept.write_bytes(flip(content, -1, 0))
    assert not jit.is_kept("sum")
    kept.unlink()
    assert not jit.is_kept("sum")
    kept.write_bytes(content)
    assert jit.is_kept("sum")
    for lie in (b"", b"\n", b"nothing.kernel", b"\0", b"\xff\xfe", b"..", b"/"):
        (folder / "sum.kept").write_bytes(lie)
        assert not jit.is_kept("sum"), lie


def test_a_mark_of_code_that_could_not_be_kept(folder, monkeypatch):
    monkeypatch.setattr(cache, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(RuntimeWarning, match="disk full"):
        fresh(X)
    jit.keep("sum")
    assert (folder / "sum.kept").exists()
    assert not jit.is_kept("sum")


# --- folders ------------------------------------------------------------------------------------


@pytest.fixture
def cache_home(monkeypatch, tmp_path):
    """The user's cache, empty."""
    monkeypatch.setattr(cache_dir, "home", lambda: tmp_path / "cache" / "fastmlp")
    return tmp_path / "cache" / "fastmlp"


def test_a_private_folder_is_ours_alone(cache_home):
    folder = private_folder("a", "b")
    assert folder == cache_home / "a" / "b"
    assert {path.stat().st_mode & 0o777 for path in (cache_home, folder.parent, folder)} == {0o700}
    assert private_folder("a", "b") == folder
    folder.parent.chmod(0o720)
    with pytest.raises(PermissionError, match="nobody else may write"):
        private_folder("a", "b")


@pytest.mark.parametrize("in_the_way", ["link", "file"])
def test_a_private_folder_is_a_folder(cache_home, tmp_path, in_the_way):
    private_folder()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if in_the_way == "link":
        (cache_home / "a").symlink_to(elsewhere)
    else:
        (cache_home / "a").write_text("")
    with pytest.raises(OSError, match="a folder of yours"):
        private_folder("a", "b")
    assert not list(elsewhere.iterdir())


def test_what_nobody_used_for_a_month_goes(tmp_path):
    cellar, outside = tmp_path / "cellar", tmp_path / "outside"
    for path in (cellar / "old" / "deep", cellar / "new", outside):
        path.mkdir(parents=True)
    for path in (cellar / "old" / "deep" / "file", cellar / "single", outside / "file"):
        path.write_text("")
    (cellar / "old" / "link").symlink_to(outside)
    (cellar / "link").symlink_to(outside)
    long_ago = time.time() - 31 * 86_400
    for path in (cellar / "old", cellar / "single", cellar / "link", outside):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    os.utime(cellar / "new", (time.time() - 29 * 86_400,) * 2)
    forget_unused(cellar)
    assert [path.name for path in cellar.iterdir()] == ["new"]
    assert (outside / "file").exists()
    forget_unused(tmp_path / "nowhere")


# --- processes ----------------------------------------------------------------------------------

SCRIPT = """
import sys
import numpy as np
from numba import prange
from fastmlp.kernels import jit

@jit.kernel
def total(x):
    result = np.float32(0)
    for value in x:
        result += value
    return result

@jit.kernel(parallel=True)
def squares(out, x):
    for i in prange(len(x)):
        out[i] = x[i] * x[i]

x, out = np.arange(5, dtype=np.float32), np.empty(5, np.float32)
{before}
squares(out, x)
print(total(x), out.sum(), *(sum(f._cache_hits.values()) for f in (total, squares)))
"""


def process(before="", **environment):
    """A process that calls two kernels."""
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", SCRIPT.format(before=before)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def ended(started):
    """Its exit code, output and errors."""
    out, err = started.communicate(timeout=120)
    return started.returncode, out.strip(), err


@pytest.mark.slow
@posix
def test_processes_that_fill_an_empty_cache_at_once(tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    for started in [process(**home) for _ in range(2)]:
        code, out, err = ended(started)
        assert (code, err) == (0, "")
        assert out.startswith("10.0 30.0")
    (folder,) = (tmp_path / "fastmlp" / "kernels").iterdir()
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["squares", "total"]
    assert all(map(cache.is_whole, folder.iterdir()))
    assert ended(process(**home)) == (0, "10.0 30.0 1 1", "")  # loaded, the parallel one too


@pytest.mark.slow
@posix
def test_a_process_that_is_killed_while_it_writes(tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    killer = "import os, signal; from pathlib import Path"
    killer += "; Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    code, out, _ = ended(process(killer, **home))
    assert (code, out) == (-9, "")
    (folder,) = (tmp_path / "fastmlp" / "kernels").iterdir()
    assert [path.suffix for path in folder.iterdir() if path.name[0] != "."] == []
    assert len(list(folder.iterdir())) == 1  # what it had written so far
    assert ended(process(**home)) == (0, "10.0 30.0 0 0", "")
    assert ended(process(**home)) == (0, "10.0 30.0 1 1", "")


PLAIN = """
from fastmlp.kernels import jit
def f(): pass
print(jit.COMPILED, jit.kernel(f) is f, jit.kernel(parallel=True)(f) is f, jit.device(f) is f, jit.is_kept())
"""
FOLDER = "from fastmlp.kernels import jit; print(jit.cache_folder())"


def output(script, **environment):
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.strip()


@pytest.mark.slow
def test_functions_stay_as_they_are_where_compiling_is_disabled(tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    assert output(PLAIN, NUMBA_DISABLE_JIT="1", **home) == "False True True True True"
    assert output(PLAIN, **home) == "True False False False False"


@pytest.mark.slow
@posix
def test_settings_that_change_the_code_have_a_folder_of_their_own(tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    settings = ({}, {"NUMBA_OPT": "1"}, {"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_CPU_NAME": "generic"})
    folders = [output(FOLDER, **home, **setting) for setting in settings]
    assert len(set(folders)) == len(settings)
    assert output(FOLDER, **home, NUMBA_NUM_THREADS="1") == folders[0]
