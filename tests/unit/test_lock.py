"""A folder's lock: one holder among threads and processes, none after its end, whatever lies in its place."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastmlp import RunFolderError
from fastmlp.files import lock
from fastmlp.files.lock import LOCK, FolderLock, all_but_lock

posix = pytest.mark.skipif(os.name != "posix", reason="signals, forks and links of POSIX")
PATIENCE = 60  # seconds, on a busy machine

BEGIN = """
import os, sys, time
from pathlib import Path
from fastmlp.files.lock import FolderLock
def say(word):  # in one write: print writes a line in two where Python is told not to buffer
    os.write(1, f"{word}\\n".encode())
"""
HOLD = BEGIN + "held = FolderLock(Path(sys.argv[1])); say('held'); time.sleep(1000)"
FORK = """
def fork():
    if not os.fork():
        say(os.getpid())  # what a fork does in the child is done
        time.sleep(1000)
"""
WITH_CHILD = BEGIN + FORK + "held = FolderLock(Path(sys.argv[1])); fork(); say('held'); time.sleep(1000)"
FORKED_MEANWHILE = (  # by another thread, between the opening of the file and all that follows
    BEGIN
    + FORK
    + """
import threading
from fastmlp.files import lock
def opened(path, flags, real=lock.open_no_link):
    handle, thread = real(path, flags), threading.Thread(target=fork, daemon=True)
    thread.start()
    thread.join(0.2)
    return handle
lock.open_no_link = opened
held = FolderLock(Path(sys.argv[1]))
say("held")
time.sleep(1000)
"""
)
CLAIMING = (
    BEGIN
    + FORK
    + """
import threading
def claim(folder):
    while True:
        held = FolderLock(folder)
        held.release()
for folder in sys.argv[1:]:
    threading.Thread(target=claim, args=[Path(folder)], daemon=True).start()
time.sleep(0.05)
for _ in range(50):
    fork()
time.sleep(1000)
"""
)
MANY = (
    BEGIN
    + """
from fastmlp import RunFolderError
folder, end, won = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    try:
        held = FolderLock(folder)
    except RunFolderError:
        continue
    os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))  # raises where another is inside
    os.unlink(folder / "inside")
    held.release()
    won += 1
say(won)
"""
)


def started(script, *args):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True
    )


def is_free(folder):
    try:
        FolderLock(folder).release()
    except RunFolderError:
        return False
    return True


def test_one_at_a_time(tmp_path):
    held = FolderLock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    with pytest.raises(RunFolderError, match="must be free; got another process or thread") as caught:
        FolderLock(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all_but_lock(tmp_path) == []
    held.release()
    assert list(tmp_path.iterdir()) == []
    held.release()
    again = FolderLock(tmp_path)
    held.release()  # is no longer its own
    assert not is_free(tmp_path)
    again.release()


def test_what_is_forgotten_is_given_back(tmp_path):
    FolderLock(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_of_many_threads(tmp_path):
    barrier, outcomes, held = threading.Barrier(12), [], []

    def claim():
        barrier.wait()
        try:
            held.append(FolderLock(tmp_path))
        except RunFolderError:
            outcomes.append("refused")

    threads = [threading.Thread(target=claim) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(outcomes)) == (1, 11)
    held[0].release()


def processes_exclude_each_other(folder, seconds, n):
    processes = [started(MANY, folder, seconds) for _ in range(n)]
    won = [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * n
    assert sum(won) > n
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_processes_exclude_each_other(tmp_path):
    processes_exclude_each_other(tmp_path, 0.7, 3)


@pytest.mark.slow
def test_many_processes_exclude_each_other(tmp_path):
    processes_exclude_each_other(tmp_path, 10, 8)


@posix
def test_a_killed_holder_holds_nothing(tmp_path):
    process = started(HOLD, tmp_path)
    process.stdout.readline()
    assert not is_free(tmp_path)
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert (tmp_path / LOCK).exists()
    assert all_but_lock(tmp_path) == []
    assert is_free(tmp_path)
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("script", [WITH_CHILD, FORKED_MEANWHILE], ids=["later", "meanwhile"])
def test_a_forked_child_does_not_hold_it(tmp_path, script):
    process = started(script, tmp_path)
    children = []
    try:
        said = {process.stdout.readline().strip() for _ in range(2)}  # by two threads, in any order
        children += map(int, said - {"held"})
        assert not is_free(tmp_path)
        process.kill()
        process.wait(timeout=PATIENCE)
        (child,) = children
        os.kill(child, 0)  # it lives
        assert is_free(tmp_path)
    finally:
        process.kill()
        process.wait(timeout=PATIENCE)
        for child in children:
            os.kill(child, signal.SIGKILL)
        process.stdout.close()


@posix
def test_a_forked_child_that_ends_does_not_give_it_back(tmp_path):
    script = BEGIN + (
        "held = FolderLock(Path(sys.argv[1])); child = os.fork(); child or (held.release(), sys.exit()); "
        "os.waitpid(child, 0); say(0); time.sleep(1000)"
    )
    process = started(script, tmp_path)
    process.stdout.readline()
    try:
        assert (tmp_path / LOCK).exists()
        assert not is_free(tmp_path)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


@posix
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_its_place_is_not_followed(tmp_path, there):
    folder, victim = tmp_path / "folder", tmp_path / "victim"
    folder.mkdir()
    if there:
        victim.write_text("")
    (folder / LOCK).symlink_to(victim)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        FolderLock(folder)
    assert victim.exists() == there
    assert all_but_lock(folder) == [LOCK]


@posix
def test_what_is_no_empty_file_is_no_lock(tmp_path):
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(OSError, match="a folder, a pipe or a device"):
        FolderLock(tmp_path)
    assert all_but_lock(tmp_path) == [LOCK]
    (tmp_path / LOCK).unlink()
    (tmp_path / LOCK).write_text("of somebody else")
    assert all_but_lock(tmp_path) == [LOCK]


@posix
@pytest.mark.parametrize("code", ["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch, code):
    def refuse(handle, how):
        raise OSError(getattr(errno, code), code)

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    FolderLock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


@posix
def test_other_failures_are_told(tmp_path, monkeypatch):
    def fail(handle, how):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with pytest.raises(OSError, match="broken"):
        FolderLock(tmp_path)
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "none")


@posix
def test_a_fork_while_others_claim_hands_nothing_on(tmp_path):
    """Threads claim and give back without end while children are forked, which live on; all is free then."""
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        folder.mkdir()
    process = started(CLAIMING, *folders)
    children = []
    try:
        for _ in range(50):
            children.append(int(process.stdout.readline()))
        process.kill()
        process.wait(timeout=PATIENCE)
        assert [is_free(folder) for folder in folders] == [True] * 3
    finally:
        process.kill()
        process.wait(timeout=PATIENCE)
        process.stdout.close()
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_the_file_that_holds_the_lock_is_the_one_that_lies_there(tmp_path):
    held = FolderLock(tmp_path)
    Path(tmp_path / LOCK).unlink()  # by somebody who thought that it was stale
    other = FolderLock(tmp_path)
    held.release()
    assert (tmp_path / LOCK).exists()
    assert not is_free(tmp_path)
    other.release()
