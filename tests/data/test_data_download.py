"""The download, against a local http server that behaves well, badly, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fastmlp.data import download, fetch_mnist, idx, load, mnist, status, synthetic
from fastmlp.data.dataset import sum_of

RNG = np.random.default_rng(0)
ARRAYS = {
    idx.TRAIN[0]: RNG.integers(0, 256, (90, 20, 20), np.uint8),
    idx.TRAIN[1]: np.arange(90, dtype=np.uint8) % 10,
    idx.TEST[0]: RNG.integers(0, 256, (30, 20, 20), np.uint8),
    idx.TEST[1]: np.arange(30, dtype=np.uint8) % 10,
}
FIRST = idx.TRAIN[0]


class Server(ThreadingHTTPServer):
    """Answers /MIRROR/FILE with ``behaviours[MIRROR]``; counts the requests of each mirror."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours, self.requests, self.released = {}, {}, threading.Event()

    def mirror(self, name, behaviour):
        self.behaviours[name] = behaviour
        self.requests[name] = []
        return f"http://127.0.0.1:{self.server_port}/{name}/"

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        _, mirror, name = self.path.split("/")
        self.server.requests[mirror].append(name.removesuffix(".gz"))
        self.server.behaviours[mirror](self, FILES[name.removesuffix(".gz")])

    def log_message(self, *args):
        pass

    def start(self, length=None, code=200, location=None):
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if location:
            self.send_header("Location", location)
        self.end_headers()


def right(handler, content):
    handler.start(len(content))
    handler.wfile.write(content)


def without_length(handler, content):
    handler.start()
    handler.wfile.write(content)


def wrong_sum(handler, content):
    other = bytearray(gzip.decompress(content))
    other[-1] ^= 1
    right(handler, gzip.compress(bytes(other)))


def too_long(handler, content):
    right(handler, gzip.compress(gzip.decompress(content) + b"\0"))


def too_short(handler, content):
    right(handler, gzip.compress(gzip.decompress(content)[:-1]))


def tail(handler, content):
    right(handler, content + b"tail")


def truncated(handler, content):
    handler.start(len(content))
    handler.wfile.write(content[: len(content) // 2])


def truncated_without_length(handler, content):
    without_length(handler, content[:-1])


def page(handler, content):
    right(handler, b"<html>please log in</html>")


def empty(handler, content):
    right(handler, b"")


def forbidden(handler, content):
    handler.start(0, 403)


def no_http(handler, content):
    handler.wfile.write(b"220 ftp ready\r\n")


def hang_up(handler, content):
    handler.close_connection = True


def endless(handler, content):
    handler.start()
    block = gzip.compress(bytes(1 << 20))
    while not handler.server.released.is_set():
        handler.wfile.write(block)


def bomb(handler, content):
    right(handler, gzip.compress(bytes(64 << 20)))


def silent(handler, content):
    handler.server.released.wait(30)


def stalls(handler, content):
    handler.start(len(content))
    handler.wfile.write(content[:1000])
    handler.server.released.wait(30)


def drip(seconds):
    """The first file in pieces of a tenth of it, ``seconds`` long in all; the others at once."""

    def behaviour(handler, content):
        if content is not FILES[FIRST]:
            return right(handler, content)
        handler.start(len(content))
        step = len(content) // 10 + 1
        for i in range(0, len(content), step):
            if handler.server.released.wait(seconds / 10):
                return None
            handler.wfile.write(content[i : i + step])
        return None

    return behaviour


BAD = [
    (wrong_sum, "wrong sha256"),
    (too_long, "more bytes than the file has"),
    (too_short, "wrong sha256"),
    (tail, "more bytes than the file has"),
    (truncated, "ended early"),
    (truncated_without_length, "ended early"),
    (page, "not the gzip file"),
    (empty, "ended early"),
    (forbidden, "HTTP 403"),
    (no_http, "no proper HTTP"),
    (hang_up, "no proper HTTP"),
    (endless, "more bytes than the file has"),
    (bomb, "more bytes than the file has"),
]
STALLING = [silent, stalls]
FILES = {}


@pytest.fixture(scope="module", autouse=True)
def _files(data_idx):
    FILES.update({name: gzip.compress(data_idx(array), mtime=0) for name, array in ARRAYS.items()})


@pytest.fixture(autouse=True)
def _sums(monkeypatch, data_home, data_idx):
    """In place of MNIST's four files: small ones of the same names."""
    contents = {name: data_idx(array) for name, array in ARRAYS.items()}
    sums = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
    monkeypatch.setattr(mnist, "FILES", sums)
    of_parts = [
        sum_of(ARRAYS[X].reshape(-1, 400), ARRAYS[y].astype(np.int64)) for X, y in (idx.TRAIN, idx.TEST)
    ]
    monkeypatch.setattr(mnist, "SUMS", dict(zip(("data", "test data"), of_parts, strict=True)))


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("behaviour", [right, without_length])
def test_right_files(server, data_home, behaviour):
    seen = []
    folder = fetch_mnist(mirrors=(server.mirror("one", behaviour),), progress=lambda *a: seen.append(a))
    assert folder == data_home
    assert files_in(folder) == sorted(FILES)
    assert all((folder / name).read_bytes() == gzip.decompress(content) for name, content in FILES.items())
    for name, content in FILES.items():
        last = [a for a in seen if a[0] == name][-1]
        assert last == (name, len(content), len(content) if behaviour is right else 0)
    np.testing.assert_array_equal(load("mnist").X, ARRAYS[idx.TRAIN[0]].reshape(90, 400))


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_the_cache_is_private(server, data_home):
    fetch_mnist(mirrors=(server.mirror("one", right),))
    assert stat.S_IMODE(data_home.stat().st_mode) == 0o700
    assert stat.S_IMODE(data_home.parent.stat().st_mode) == 0o700


def test_named_folder(server, data_home, tmp_path):
    folder = fetch_mnist(tmp_path / "a" / "b", mirrors=(server.mirror("one", right),))
    assert files_in(folder) == sorted(FILES)
    assert not data_home.exists()
    assert len(load(folder).X) == 90


@pytest.mark.parametrize(("behaviour", "message"), BAD, ids=[b.__name__ for b, _ in BAD])
def test_bad_mirror_leaves_nothing(server, data_home, data_refused, behaviour, message):
    with data_refused(f"{FIRST} of MNIST must be had from a mirror.*127.0.0.1.*{message}"):
        fetch_mnist(mirrors=(server.mirror("one", behaviour),), patience=20)
    assert files_in(data_home) == []


@pytest.mark.parametrize("behaviour", [b for b, _ in BAD], ids=[b.__name__ for b, _ in BAD])
def test_second_mirror_takes_over_and_stays(server, data_home, behaviour):
    fetch_mnist(mirrors=(server.mirror("one", behaviour), server.mirror("two", right)), patience=20)
    assert files_in(data_home) == sorted(FILES)
    assert server.requests == {"one": [FIRST], "two": list(FILES)}


def test_no_network(data_home, data_refused, closed_port):
    with data_refused("refused"):
        fetch_mnist(mirrors=(closed_port, closed_port))
    assert files_in(data_home) == []


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", STALLING)
def test_stalling_costs_patience_once_over_all_mirrors(
    server, data_home, data_refused, monkeypatch, behaviour
):
    mirrors, waits, body = (
        tuple(server.mirror(name, behaviour) for name in ("one", "two")),
        [],
        download._body,
    )

    def noted(url, patience, seconds):
        waits.append(seconds)
        return body(url, patience, seconds)

    monkeypatch.setattr(download, "_body", noted)
    with data_refused(r"(no answer within 0\.[0-5] s.*){2}|(stalled after 1,000 bytes.*){2}"):
        fetch_mnist(mirrors=mirrors, patience=1)
    assert waits[0] == 0.5
    assert (
        0 <= waits[1] < 0.52
    )  # what the first has left: on a busy machine that waits longer than it was told
    assert {name: len(got) for name, got in server.requests.items()} == {"one": 1, "two": 1}
    assert files_in(data_home) == []


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", STALLING)
def test_stalling_mirror_leaves_time_for_the_next(server, data_home, behaviour):
    fetch_mnist(mirrors=(server.mirror("one", behaviour), server.mirror("two", right)), patience=6)
    assert files_in(data_home) == sorted(FILES)


def test_name_server_that_does_not_answer(data_home, data_refused, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(30) and [])
    with data_refused("no answer within"):  # and not what comes of its answer, after 30 s
        fetch_mnist(mirrors=("http://mirror.invalid/",), patience=0.3)
    released.set()


@pytest.mark.slow
def test_transfer_that_proceeds_may_outlast_the_patience(server, data_home, monkeypatch):
    monkeypatch.setattr(download, "PACE", len(FILES[FIRST]) / 40)
    started = time.monotonic()
    fetch_mnist(mirrors=(server.mirror("one", drip(4)),), patience=3)
    assert time.monotonic() - started > 3
    assert files_in(data_home) == sorted(FILES)


@pytest.mark.slow
def test_transfer_that_only_trickles_may_not(server, data_home, monkeypatch, data_refused):
    monkeypatch.setattr(download, "PACE", len(FILES[FIRST]) * 100)
    with data_refused("stalled after"):
        fetch_mnist(mirrors=(server.mirror("one", drip(40)),), patience=6)


def test_running_again_completes(server, data_home, data_refused):
    def only_the_first(handler, content):
        (right if content is FILES[FIRST] else forbidden)(handler, content)

    with data_refused("HTTP 403"):
        fetch_mnist(mirrors=(server.mirror("one", only_the_first),))
    assert files_in(data_home) == [FIRST]
    assert status()["files"][idx.TRAIN[0]] == "complete"
    before = (data_home / FIRST).stat()
    fetch_mnist(mirrors=(server.mirror("two", right),))
    assert server.requests["two"] == [name for name in FILES if name != FIRST]
    assert (data_home / FIRST).stat().st_mtime_ns == before.st_mtime_ns
    assert status()["complete"]
    fetch_mnist(mirrors=(server.mirror("three", forbidden),))
    assert server.requests["three"] == []


@pytest.mark.parametrize("name", [FIRST, f"{FIRST}.gz"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None, "packed"])
def test_damaged_cache_is_fetched_again(server, data_home, monkeypatch, damage, name):
    monkeypatch.setattr(mnist, "MIRRORS", (server.mirror("one", right),))
    load("mnist")
    if damage is None or damage == "packed":
        other = gzip.decompress(FILES[FIRST])[:-1] + b"\0"
        damage = gzip.compress(other) if damage else other
    (data_home / FIRST).unlink()
    (data_home / name).write_bytes(damage)  # name: as it was kept before, too
    server.requests["one"].clear()
    data = load("mnist")
    np.testing.assert_array_equal(data.X, ARRAYS[idx.TRAIN[0]].reshape(90, 400))
    assert server.requests["one"] == [FIRST]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_leaves_no_half_file(server, data_home, error):
    def interrupt(name, done, total):
        if name != FIRST:
            raise error

    with pytest.raises(error):
        fetch_mnist(mirrors=(server.mirror("one", right),), progress=interrupt)
    assert files_in(data_home) == [FIRST]


def test_folder_that_cannot_be_written(tmp_path, data_refused, server):
    (tmp_path / "file").write_text("")
    with data_refused("must be a folder that can be written"):
        fetch_mnist(tmp_path / "file", mirrors=(server.mirror("one", right),))


def test_auto_downloads_and_says_so(server, data_home, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (server.mirror("one", right),))
    lines, seen = [], []
    data = load(notify=lines.append, progress=lambda *a: seen.append(a))
    assert data.name == "mnist"
    assert len(lines) == 1
    assert "synthetic" not in lines[0]
    assert {name for name, _, _ in seen} == set(FILES)
    assert load(notify=pytest.fail).name == "mnist"


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", STALLING)
def test_auto_gives_the_network_its_seconds_and_falls_back(server, monkeypatch, behaviour):
    from fastmlp.data import sources

    assert sources.AUTO_PATIENCE == 5
    draw = synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda seed=0: draw(seed, 20, 10))
    monkeypatch.setattr(sources, "AUTO_PATIENCE", 0.4)
    monkeypatch.setattr(mnist, "MIRRORS", (server.mirror("one", behaviour), server.mirror("two", behaviour)))
    lines = []
    assert load(notify=lines.append).name == "synthetic"
    assert re.search("(no answer within|stalled after).*synthetic", lines[-1])


def test_redirection_within_http_is_followed(server, data_home):
    target = server.mirror("two", right)

    def moved(handler, content):
        name = handler.path.rsplit("/", 1)[1]
        handler.start(0, 302, target + name)

    fetch_mnist(mirrors=(server.mirror("one", moved),))
    assert files_in(data_home) == sorted(FILES)


@pytest.mark.parametrize(
    "new", ["http://elsewhere/a", "ftp://elsewhere/a", "file:///etc/passwd", "HTTP://elsewhere/a"]
)
def test_redirection_away_from_https_is_not(new):
    request = urllib.request.Request("https://mirror/a")
    with pytest.raises(urllib.error.URLError, match="not https"):
        download._NoDowngrade().redirect_request(request, None, 302, "Found", {}, new)


def test_the_real_mirrors_are_https():
    assert len(mnist.MIRRORS) == 2
    assert all(url.startswith("https://") for url in mnist.MIRRORS)
