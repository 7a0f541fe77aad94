"""Each end of a run, as a process: signals at drawn moments, closed and full streams, limits of the system.

Of each: the exit code, what is said, and what is on disk afterwards.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_runs import FAST, blobs, save_blobs, start, strict

import fastmlp

if os.name != "posix":
    pytest.skip("signals, limits and devices of POSIX", allow_module_level=True)


PATIENCE = 60
FILES = {"config.json", "environment.json", "metrics.jsonl", "model.safetensors", "summary.json"}
CHECKPOINT = "checkpoint.safetensors"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# ``fastmlp`` that sends itself signals at the numbered moments: an audit event - an import, a file opened or
# renamed, code compiled - is one. A moment -1 prints at the end how many there were.
AT_MOMENTS = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from fastmlp_cli import ends
moments = {int(n): int(number) for n, number in (pair.split(":") for pair in sys.argv.pop(1).split(","))}
counted = -1 in moments
listen, main, seen = ends.listen, threading.main_thread().ident, 0

def count(event, args):
    global seen
    if threading.get_ident() == main:
        seen += 1
        if seen in moments:
            os.kill(os.getpid(), moments[seen])

def listen_and_count():
    listen()
    sys.addaudithook(count)

ends.listen = listen_and_count
from fastmlp_cli.__main__ import main as run
try:
    run()
finally:
    if counted:
        os.write(1, f"{seen} moments".encode())
"""


def at_moments(moments, *args, **env):
    """``fastmlp ARGS`` with signals at {moment: number}."""
    told = ",".join(f"{moment}:{int(number)}" for moment, number in moments.items())
    return subprocess.run(
        [sys.executable, "-c", AT_MOMENTS, told, *map(str, args)],
        capture_output=True, text=True, timeout=PATIENCE, env=os.environ | env,
    )  # fmt: skip


def count_moments(*args):
    """How many there are without a signal, and the exit code."""
    ran = at_moments({-1: 0}, *args)
    return int(re.search(r"(\d+) moments$", ran.stdout)[1]), ran.returncode


def assert_ended(code, err, *sent):
    """By the first of the signals that were sent, or another where they came at once; and quietly."""
    assert code in [128 + number for number in sent], err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    number = signal.Signals(code - 128)
    assert err.endswith("Interrupted.\n" if number == signal.SIGINT else f"Ended by {number.name}.\n")


def assert_whole(folder):
    """No trace of a run that had not begun; of another one, all files agree. Returns its summary, if any."""
    if not folder.exists():
        return None
    summary = json.loads((folder / "summary.json").read_text())
    names = {path.name for path in folder.iterdir()}
    if not summary["epochs"]:
        assert names - {CHECKPOINT} == FILES - {"metrics.jsonl", "model.safetensors"}
        return summary
    assert names - {CHECKPOINT} == FILES  # one is there unless the first second was cut within an epoch's end
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == summary["epochs"]
    model = fastmlp.Model.load(folder / "model.safetensors")
    assert model.parameters.sha256() == summary["weights_sha256"]
    return summary


def wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listens(process):
    """Whether a process on Linux has its handlers."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return caught >> (signal.SIGHUP - 1) & 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ends")


@pytest.fixture(scope="module")
def data(place):
    return save_blobs(place)


# Signals


@pytest.mark.parametrize("sent", STOPS, ids=lambda sent: sent.name)
def test_a_signal_ends_a_training_with_its_summary(data, tmp_path, sent):
    folder = tmp_path / "run"
    process = start("train", *FAST, "--data", data, "--epochs", 10**6, "--out", folder, "--json")
    wait_for(lambda: (folder / "metrics.jsonl").exists(), process)
    for number in (sent, sent, signal.SIGTERM, sent):  # what comes after the first loses nothing
        process.send_signal(number)
        time.sleep(0.01)
    out, err = process.communicate(timeout=PATIENCE)
    assert_ended(process.returncode, err, sent)
    summary = assert_whole(folder)
    assert summary["status"] == "interrupted"
    assert strict(out) == summary


@pytest.mark.parametrize(
    ("args", "count"),
    [(("--help",), 2), (("--version",), 2), pytest.param(("info",), 3, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_signal_while_libraries_are_loaded_is_one_line(args, count):
    moments = random.Random(str(args)).sample(range(1, count_moments(*args)[0] + 1), count)
    for number, moment in zip(STOPS, moments, strict=False):
        ran = at_moments({moment: number}, *args)
        assert_ended(ran.returncode, ran.stderr, number)
        assert ran.stderr.count("\n") == 1


COMMANDS = ("train", "compiled", "best", "evaluate", "predict", "data", "warmup", "diagnose")


def commands(data, folder):
    """Short ones by name; a run goes to ``folder / "run"``."""
    model = folder / "model"
    run = fastmlp.fit(*blobs(60), epochs=1, backend="numpy", hidden=(4,))[0]
    run.save(model)
    return {
        "train": ("train", *FAST, "--data", data, "--epochs", 5, "--out", folder / "run"),
        "compiled": ("train", "--data", data, "--epochs", 5, "--out", folder / "run"),
        "best": (
            "train", *FAST, "--data", data, "--epochs", 5, "--validation", 0.2, "--patience", 2,
            "--out", folder / "run",
        ),
        "evaluate": ("evaluate", model, "--data", data),
        "predict": ("predict", model, data, *FAST),
        "data": ("data", data, "--show", 2),
        "warmup": ("warmup",),
        "diagnose": ("diagnose", "--data", data, "--epochs", 2, "--seconds", 2),
    }  # fmt: skip


def assert_signals_end(command, data, folder, number, seed):
    """At drawn moments, half of them among the last tenth; a second signal follows in two of three."""
    args, runs = commands(data, folder)[command], folder / "run"
    there, code = count_moments(*args)
    draw = random.Random(f"{command} {seed}")
    for _ in range(number):
        shutil.rmtree(runs, ignore_errors=True)
        moment = draw.randint(1 if draw.random() < 0.5 else there * 9 // 10, there)
        sent = {moment: draw.choice(STOPS)}
        if draw.random() < 0.67:
            sent[moment + draw.choice([1, 2, 3, 10, 100])] = draw.choice(STOPS)
        ran = at_moments(sent, *args)
        if ran.returncode != code:  # else there were fewer moments this time
            assert_ended(ran.returncode, ran.stderr, *sent.values())
        assert_whole(runs)


@pytest.mark.parametrize("command", ["train"])
def test_signals_at_drawn_moments_lose_nothing(command, data, tmp_path):
    assert_signals_end(command, data, tmp_path, 2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_signals_at_many_drawn_moments_lose_nothing(command, data, tmp_path):
    assert_signals_end(command, data, tmp_path, 6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["RunFolder.keep", "RunFolder.finish", "RunFolder.begin"])
def test_a_signal_waits_for_an_epoch_to_be_recorded_and_for_the_summary(point, data, tmp_path):
    folder = tmp_path / point
    code = f"""
import os, signal
from fastmlp.runs import RunFolder
real = {point}
def interrupted(*args):
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    real(*args)
{point} = interrupted
from fastmlp_cli.__main__ import main
main()
"""
    args = ("train", *FAST, "--data", data, "--epochs", 2, "--out", folder)
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert_ended(ran.returncode, ran.stderr, signal.SIGINT, signal.SIGTERM)
    summary = assert_whole(folder)
    finished = point == "RunFolder.finish"  # nothing was left to interrupt
    assert summary["status"] == ("finished" if finished else "interrupted")
    assert len(summary["epochs"]) == {"keep": 1, "finish": 2, "begin": 0}[point.split(".")[1]]


@pytest.mark.slow
def test_what_is_ignored_at_the_start_stays_ignored(data, tmp_path):
    """As nohup and a shell's & leave it."""
    folder = tmp_path / "run"
    code = "import signal\nfor number in (1, 2):\n signal.signal(number, signal.SIG_IGN)\n"
    code += "from fastmlp_cli.__main__ import main; main()"
    args = ("train", *FAST, "--data", data, "--epochs", 10**6, "--out", folder)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    wait_for((folder / "metrics.jsonl").exists, process)
    for number in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
        there = (folder / "metrics.jsonl").stat().st_size
        wait_for(lambda size=there: (folder / "metrics.jsonl").stat().st_size > size, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert_ended(process.returncode, err, signal.SIGTERM)
    assert assert_whole(folder)["status"] == "interrupted"


def test_a_signal_that_a_finalizer_swallows_comes_again(tmp_path):
    code = """
import os, signal, time
from fastmlp_cli import app, ends
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
def run():
    Last()
    time.sleep(30)
    return 0
app.run = run
from fastmlp_cli.__main__ import main
main()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert_ended(ran.returncode, ran.stderr, signal.SIGTERM)
    assert ran.stderr.count("\n") == 1


def test_the_library_has_no_handlers():
    sources = Path(fastmlp.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "signal.signal" in path.read_text()]


# Streams

STREAMS = {  # what the shell is told, with the exit code of a command whose result is small
    ">/dev/full": 1,
    "2>/dev/full": 0,
    ">&-": 0,
    "2>&-": 0,
    "<&-": 0,
    "<&- >&- 2>&-": 0,
    ">/dev/full 2>&1": 1,
}


def shell(redirection, *args, cwd, **env):
    """``fastmlp ARGS REDIRECTION``; the exit code is that of fastmlp."""
    command = subprocess.list2cmdline([sys.executable, "-m", "fastmlp_cli", *map(str, args)])
    return subprocess.run(
        ["bash", "-c", f"{command} {redirection}; exit ${{PIPESTATUS[0]}}"],
        cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | env,
    )  # fmt: skip


def assert_one_message(ran, redirection):
    message = "Error: stdout must take the result; got No space left on device. "
    message += "Make room, or name another place.\n"
    assert ran.stderr == (message if redirection == ">/dev/full" else "")


@pytest.mark.parametrize("args", ["--version", pytest.param("train --help", marks=pytest.mark.slow)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_take_nothing(args, unbuffered, tmp_path):
    for redirection, code in list(STREAMS.items())[: 1 if unbuffered else None]:
        ran = shell(redirection, *args.split(), cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
        assert (redirection, ran.returncode) == (redirection, code)
        assert_one_message(ran, redirection)


QUICK = (">/dev/full", "2>&1 | head -n 1")


@pytest.mark.parametrize(
    "redirection",
    [
        *QUICK,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (*STREAMS, "| true") if each not in QUICK),
    ],
)
def test_a_training_is_brought_to_its_end_whatever_the_streams(redirection, data, tmp_path):
    ran = shell(
        redirection, "train", *FAST, "--data", data, "--epochs", 40, "--out", tmp_path / "run", cwd=tmp_path
    )
    summary = assert_whole(tmp_path / "run")
    assert (summary["status"], len(summary["epochs"])) == ("finished", 40)
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.returncode == (141 if "|" in redirection else STREAMS[redirection])
    assert ran.stderr.count("Error:") == (redirection == ">/dev/full")
    if "<" not in redirection and "2>" in redirection and "1" not in redirection:
        assert ran.stdout == f"Test accuracy: {summary['test_accuracy']:.4f}\n"  # the result is all the same


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_has_a_traceback_for_any_stream(command, data, tmp_path):
    """Of the streams, each command meets every other one."""
    args = commands(data, tmp_path)[command]
    _, code = count_moments(*args)
    ends = [*STREAMS.items(), ("2>&1 | true", 141), ("| true", 141)]
    for redirection, expected in ends[COMMANDS.index(command) % 2 :: 2]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        ran = shell(redirection, *args, cwd=tmp_path)
        assert (redirection, ran.returncode) == (redirection, expected or code)
        assert "Traceback" not in ran.stdout + ran.stderr
        assert "Exception ignored" not in ran.stderr
        assert ran.stderr.count("Error:") == (redirection == ">/dev/full")


def test_a_closed_stdin_and_stdout_are_no_place_for_a_run_s_files(data, tmp_path):
    """Else the next file to be opened has their numbers, and what a library prints is in it."""
    code = "import os, sys\nfrom fastmlp_cli.streams import prepare\nprepare()\n"
    code += "with open(sys.argv[1], 'w') as file:\n assert file.fileno() > 2\n os.write(1, b'x')"
    ran = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$0" file <&- >&-', code], cwd=tmp_path, capture_output=True
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (tmp_path / "file").read_bytes() == b""


# Limits of the system


def limited(limit, value, *args, **env):
    """``fastmlp ARGS`` under a limit of bytes, files or processes."""
    code = (
        f"import resource; resource.setrlimit(resource.{limit}, ({value}, {value})); "
        "from fastmlp_cli.__main__ import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True, text=True, timeout=PATIENCE, env=os.environ | env,
    )  # fmt: skip


def assert_too_little(ran):
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert re.match(r"Error: a command must have [\d,]+ MiB of address space; got a limit of \d", ran.stderr)


linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")


@linux
@pytest.mark.parametrize("mebibytes", [400])
def test_too_little_memory_is_one_message(mebibytes, data, tmp_path):
    assert_too_little(
        limited("RLIMIT_AS", mebibytes << 20, "train", "--data", data, "--out", tmp_path / "run")
    )
    assert not (tmp_path / "run").exists()


@linux
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_any_limit_of_memory_is_one_message_or_enough(command, data, tmp_path):
    """The lowest that is let pass is enough for kernels to be compiled."""
    args = commands(data, tmp_path)[command]
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")} if command in ("warmup", "diagnose") else {}
    for mebibytes in (64, 100, 200, 400, 700, *range(900, 10_000, 40)):
        ran = limited("RLIMIT_AS", mebibytes << 20, *args, **cache)
        if ran.returncode != 1 or "address space" not in ran.stderr:
            break
        assert_too_little(ran)
        assert not (tmp_path / "run").exists()
    assert mebibytes > 900
    assert ran.returncode in ((0, 1) if command == "diagnose" else (0,)), ran.stderr  # 1: a severe finding
    assert not re.search("Error|Warning|Traceback", ran.stderr)
    assert limited("RLIMIT_AS", 100 << 20, args[0], "--help").returncode == 0


@pytest.mark.slow
@linux
def test_data_that_do_not_fit_are_one_message(tmp_path):
    from numpy.lib import format as npy

    path = tmp_path / "large.npy"
    with path.open("wb") as file:  # sparse: its zeros take no room on disk
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (3 << 20, 1024)})
        file.truncate(file.tell() + (3 << 30))
    ran = limited("RLIMIT_AS", 2 << 30, "data", path)
    assert ran.returncode in (1, 4), ran.stderr
    assert ran.stderr.count("Error: ") == ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_thread_that_cannot_start_is_one_message(data, tmp_path):
    code = """
import _thread, threading
def none(*args, **more):
    raise RuntimeError("can't start new thread")
threading.Thread.start = none
from fastmlp_cli.__main__ import main
main()
"""
    args = ("train", "--data", data, "--epochs", 5, "--out", tmp_path / "run")
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("Error: the training must fit into memory; got no room for")
    assert "Traceback" not in ran.stderr
    assert assert_whole(tmp_path / "run")["status"] == "failed"


@pytest.mark.parametrize(
    "most", [700, *(pytest.param(most, marks=pytest.mark.slow) for most in (0, 400, 1500, 2100))]
)
def test_a_full_disk_is_one_message_and_what_was_good_stays(most, data, tmp_path):
    """A limit on the size of a file stands for the disk: each kind of file meets it first."""
    folder = tmp_path / "run"
    ran = limited(
        "RLIMIT_FSIZE", most, "train", *FAST, "--hidden", 2, "--data", data, "--epochs", 50, "--out", folder
    )
    assert ran.returncode == 1
    errors = [line for line in ran.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert re.match(rf"Error: {folder}/\S+ must be writable; got File too large\. Make room", errors[0])
    assert "Traceback" not in ran.stderr
    names = {path.name for path in folder.iterdir()}
    assert names <= FILES | {CHECKPOINT}
    for name in names & {"config.json", "environment.json", "summary.json"}:
        json.loads((folder / name).read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines() if "metrics.jsonl" in names else []
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    if lines:
        fastmlp.Model.load(folder / "model.safetensors")
