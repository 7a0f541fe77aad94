"""One file over https: bounded in bytes, bounded in waiting, checked by the sum of what it unpacks to.

The file appears under its name only when it is whole and right. Which files and which mirrors: mnist.py.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

Progress = Callable[[str, int, int], None]  # name, bytes done, bytes in all (0: unknown)

PACE = 64 << 10  # bytes a second; a transfer at this pace costs no patience
CHUNK = 64 << 10
SOCKET_TIMEOUT = 60.0  # ends the thread of an abandoned transfer


class DownloadError(Exception):
    """Reason why a file could not be had from one address, in a few words."""


@dataclass
class Patience:
    """Seconds that may still be spent on a network that does not deliver, over all transfers."""

    left: float


def download(
    url: str,
    target: Path,
    size: int,
    sha256: str,
    patience: Patience,
    share: float = 1.0,
    progress: Progress | None = None,
) -> None:
    """Store what the gzip file at ``url`` unpacks to as ``target``.

    size, sha256: of that. share: the part of the patience that this address may use up.
    DownloadError if the address does not deliver or delivers something else; OSError if ``target`` cannot be
    written. Whatever happens, no half file stays.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        seconds = max(0.0, patience.left * share)
        with os.fdopen(handle, "wb") as file, closing(_body(url, patience, seconds)) as body:
            _store(file, body, size, sha256, target.name, progress)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def _store(
    file: IO[bytes],
    body: Iterator[int | bytes],
    size: int,
    sha256: str,
    name: str,
    progress: Progress | None,
) -> None:
    unpacker, content = zlib.decompressobj(wbits=31), hashlib.sha256()
    received = unpacked = total = 0
    for item in body:
        if isinstance(item, int):
            total = item
            continue
        received += len(item)
        try:
            out = unpacker.decompress(item, size + 1 - unpacked)
        except zlib.error:
            raise DownloadError("not the gzip file it should be") from None
        unpacked += len(out)
        content.update(out)
        if unpacked > size or unpacker.unused_data or received > size + size // 1000 + 4096:
            raise DownloadError("more bytes than the file has")
        file.write(out)
        if progress is not None:
            progress(name, received, max(total, received) if total else 0)
    if not unpacker.eof:
        raise DownloadError(f"the transfer ended early, after {received:,} bytes")
    if unpacked != size or content.hexdigest() != sha256:
        raise DownloadError("another content than the file has (wrong sha256)")


def _body(url: str, patience: Patience, seconds: float) -> Generator[int | bytes, None, None]:
    """The announced length, then the body in pieces.

    A thread does the work, so that every wait has an end: for a name server, a connection, a header, a body.
    """
    inbox: queue.Queue[int | bytes | Exception | None] = queue.Queue(maxsize=8)
    abandoned = threading.Event()
    started, received = time.monotonic(), 0
    threading.Thread(target=_pump, args=(url, inbox, abandoned), daemon=True).start()
    try:
        while True:
            wait = seconds + received / PACE - (time.monotonic() - started)
            try:
                item = inbox.get(timeout=max(wait, 0.0))
            except queue.Empty:
                got = f"stalled after {received:,} bytes" if received else f"no answer within {seconds:.1f} s"
                raise DownloadError(got) from None
            if item is None:
                return
            if isinstance(item, Exception):
                raise DownloadError(_reason(item)) from None
            if isinstance(item, bytes):
                received += len(item)
            yield item
    finally:
        abandoned.set()
        patience.left -= max(0.0, time.monotonic() - started - received / PACE)


def _pump(url: str, inbox: queue.Queue[int | bytes | Exception | None], abandoned: threading.Event) -> None:
    def put(item: int | bytes | Exception | None) -> None:
        while not abandoned.is_set():
            try:
                return inbox.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None

    try:
        with urllib.request.build_opener(_NoDowngrade).open(url, timeout=SOCKET_TIMEOUT) as response:
            put(int(response.headers.get("Content-Length") or 0))
            while not abandoned.is_set() and (chunk := response.read1(CHUNK)):
                put(chunk)
        put(None)
    except urllib.error.HTTPError as error:
        error.close()
        put(error)
    except Exception as error:  # whatever it is, the waiting side must hear of it
        put(error)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    if isinstance(error, http.client.HTTPException):
        return f"no proper HTTP ({type(error).__name__})"
    return str(error) or type(error).__name__


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow no redirection from https to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith(("https:", f"{req.type}:")):
            raise urllib.error.URLError(f"redirected to {newurl[:80]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
