"""The command as a process: Ctrl-C, closed pipes, terminals. Everything else is tested without one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_runs import ANSI, FAST, save_blobs, start, strict

import fastmlp
from fastmlp.files.lock import LOCK, FolderLock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")

PATIENCE = 60  # seconds until a process on a busy machine must have come as far as the test wants it


@pytest.fixture
def blobs(tmp_path):
    return save_blobs(tmp_path, n=2000)


def wait_for(condition, process):
    """Until the condition holds; False if the process ends first."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def interrupt(process):
    """Ctrl-C; stdout and stderr of what follows, which ends long before what it does would."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    return out, err


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_ctrl_c_keeps_the_finished_epochs(blobs, tmp_path, backend):
    folder = tmp_path / "run"
    metrics = folder / "metrics.jsonl"
    process = start(
        "train", "--data", blobs, "--epochs", 10**6, "--backend", backend, "--out", folder, "--json",
    )  # fmt: skip
    assert wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") >= 3, process)
    out, err = interrupt(process)
    report = strict(out)
    assert report["status"] == "interrupted"
    assert [epoch["epoch"] for epoch in report["epochs"]] == list(range(1, len(report["epochs"]) + 1))
    assert report["epochs"] == [json.loads(line) for line in metrics.read_text().splitlines()]
    assert json.loads((folder / "summary.json").read_text()) == report
    model = fastmlp.Model.load(folder / "model.safetensors")
    assert model.parameters.sha256() == report["weights_sha256"]
    assert err.endswith("Interrupted.\n")
    names = {path.name for path in folder.iterdir()}  # no checkpoint where the first second was cut short
    assert names - {"checkpoint.safetensors"} == {
        "config.json", "environment.json", "metrics.jsonl", "model.safetensors", "summary.json",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seconds", [0.5, 2])
def test_ctrl_c_while_the_kernels_are_compiled(blobs, tmp_path, threads, seconds):
    folder = tmp_path / "run"
    process = start(
        "train", "--data", blobs, "--out", folder, "--threads", threads, "--epochs", 100_000,
        env={"XDG_CACHE_HOME": str(tmp_path / "cold")},
    )  # fmt: skip
    for line in process.stderr:
        if "compiling" in line:
            break
    else:
        pytest.fail("it did not compile")
    time.sleep(seconds)
    out, err = interrupt(process)
    assert out == ""
    assert err.endswith("Interrupted.\n")
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert not (folder / "model.safetensors").exists()
    assert not list((tmp_path / "cold").rglob("run-*.kernel"))  # it ended long before the compiler


@pytest.mark.slow
def test_ctrl_c_before_training_leaves_nothing_behind(tmp_path):
    process = start("train", *FAST, "--data", "synthetic", cwd=tmp_path)  # 2 s of drawing
    assert wait_for(lambda: next(tmp_path.glob("runs/*"), None), process)
    time.sleep(0.2)
    assert interrupt(process) == ("", "Interrupted.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_training_gives_its_code_and_no_traceback(blobs, tmp_path):
    process = start("train", *FAST, "--data", blobs, "--lr", 1e30, cwd=tmp_path)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (3, "")
    assert "Traceback" not in err
    assert "Warning" not in err
    assert err.splitlines()[-1].startswith("Error: the loss must stay finite; got nan or infinity in batch 2")


@pytest.mark.slow
def test_a_closed_pipe_is_no_news(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    process = start("info", stdout=writer, cwd=tmp_path)
    os.close(writer)
    _, err = process.communicate(timeout=PATIENCE)
    assert err == ""
    assert process.returncode == 141


def on_terminal(*args, cwd, **env):
    """What ``fastmlp ARGS`` writes to a terminal of 120 columns, and its exit code."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = start(
        *args, cwd=cwd, env={"TERM": "xterm-256color"} | env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so where others end the file
            piece = b""
        if not piece:
            break
        written += piece
    os.close(ours)
    return written.decode(), process.wait(timeout=PATIENCE)


@pytest.mark.slow
def test_a_terminal_gets_a_bar(blobs, tmp_path):
    text, code = on_terminal("train", *FAST, "--data", blobs, "--epochs", 8, cwd=tmp_path)
    assert code == 0
    assert re.search(r"epoch \d/8 .*%.*left", ANSI.sub("", text))
    assert re.search(r"[\d,]+ samples/s .*\d:\d\d:\d\d", ANSI.sub("", text))
    assert "\x1b[1m" in text
    assert re.search(r"\x1b\[3\dm", text)
    assert ANSI.sub("", text).splitlines()[-1].startswith("Test accuracy: ")


@pytest.mark.slow
def test_no_color_is_honoured(blobs, tmp_path):
    text, _ = on_terminal("train", *FAST, "--data", blobs, "--epochs", 2, cwd=tmp_path, NO_COLOR="1")
    assert "samples/s" in text
    assert not re.search(r"\x1b\[(3|4|9)\d", text)


@pytest.mark.slow
@pytest.mark.parametrize(("args", "env"), [(("--quiet",), {}), ((), {"TERM": "dumb"})])
def test_no_bar_where_none_is_wanted(blobs, tmp_path, args, env):
    text, code = on_terminal("train", *FAST, "--data", blobs, "--epochs", 2, *args, cwd=tmp_path, **env)
    assert code == 0
    assert "left" not in text
    assert "\x1b" not in text
    assert ("samples/s" in text) == (not args)


def test_piped_output_has_no_escapes_even_on_a_colourful_terminal(blobs, tmp_path):
    process = start("train", *FAST, "--data", blobs, "--epochs", 2, cwd=tmp_path, env={"TERM": "xterm"})
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "\x1b" not in out + err
    assert "\r" not in out + err


@pytest.mark.slow
def test_a_run_folder_that_stops_taking_files_ends_the_training(blobs, tmp_path):
    folder = tmp_path / "run"
    process = start("train", *FAST, "--data", blobs, "--epochs", 10**6, "--out", folder)
    assert wait_for((folder / "model.safetensors").exists, process)
    folder.rename(tmp_path / "moved")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert re.search(r"^Error: .* must be writable; got No such file or directory", err, re.M)
    assert fastmlp.Model.load(Path(tmp_path, "moved", "model.safetensors")).classes == (3, 5, 8)


@pytest.mark.slow
def test_of_two_runs_into_one_folder_one_is_refused(blobs, tmp_path):
    folder = tmp_path / "run"
    both = [
        start("train", *FAST, "--data", blobs, "--epochs", 10**6, "--seed", seed, "--out", folder, "--json")
        for seed in (1, 2)
    ]
    first = None
    deadline = time.monotonic() + PATIENCE
    while first is None and time.monotonic() < deadline:
        first = next((process for process in both if process.poll() is not None), None)
        time.sleep(0.02)
    (other,) = (process for process in both if process is not first)
    out, err = first.communicate(timeout=PATIENCE)
    assert (first.returncode, out) == (1, "")
    assert err == (
        f"Error: {folder} must be free; got another process or thread that writes into it. "
        "Choose another place, or wait for its end.\n"
    )
    assert wait_for((folder / "metrics.jsonl").exists, other)
    report = strict(interrupt(other)[0])
    assert json.loads((folder / "config.json").read_text())["seed"] == report["seed"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == report["epochs"]
    names = {path.name for path in folder.iterdir()}  # no checkpoint where the first second was cut short
    assert names - {"checkpoint.safetensors"} == {
        "config.json", "environment.json", "metrics.jsonl", "model.safetensors", "summary.json",
    }  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_does_not_keep_its_folder(blobs, tmp_path):
    folder = tmp_path / "run"
    process = start("train", *FAST, "--data", "synthetic", "--out", folder)  # 2 s of drawing
    assert wait_for((folder / LOCK).exists, process)
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert [path.name for path in folder.iterdir()] == [LOCK]
    again = ("train", *FAST, "--data", blobs, "--epochs", 1, "--out", folder, "--json")
    process = start(*again)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert strict(out)["weights_sha256"]
    assert not (folder / LOCK).exists()
    (folder / LOCK).touch()  # as a kill after the first epoch leaves it: what a run wrote stays
    process = start(*again)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "must be empty or new" in err


@pytest.mark.slow
def test_a_study_has_its_folder_alone(blobs, tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    held = FolderLock(folder)
    process = start("study", "--quick", "--data", blobs, "--out", folder)
    out, err = process.communicate(timeout=PATIENCE)
    held.release()
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"Error: {folder} must be free; got another process or thread")


@pytest.mark.slow
def test_a_closed_stdout_is_no_traceback(blobs, tmp_path):
    command = f"{sys.executable} -m fastmlp_cli train --backend numpy --epochs 1 -q --data {blobs} >&-"
    ran = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert "Traceback" not in ran.stderr
