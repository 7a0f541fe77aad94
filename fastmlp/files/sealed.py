"""A model's file: safetensors whose metadata hold the sha256 of all its other bytes.

No bit of it changes unseen, in a tensor or between them. What the tensors and the entries mean: model.py.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastmlp.checks import reason_of
from fastmlp.errors import ModelError
from fastmlp.files import parse_json, regular, write_whole
from fastmlp.words.layers import MOST_PARAMETERS

SEAL = "sha256"  # the entry's name
MOST_HEADER = 100_000_000  # bytes: more is no safetensors
MOST = 8 + MOST_HEADER + 4 * MOST_PARAMETERS

State = Mapping[str, NDArray[Any]]


def write(path: Path, state: State, metadata: Mapping[str, str]) -> None:
    """Write the file, whole or not at all: the same bytes for the same tensors and entries.

    Raises RunFolderError, and ModelError for too long metadata.
    """
    from safetensors.numpy import save

    blank = secrets.token_hex(32)  # found again at one place, whatever the metadata say
    content = _in_order(save(dict(state), {**metadata, SEAL: blank}))
    if int.from_bytes(content[:8], "little") > MOST_HEADER:
        raise ModelError(
            f"a model's description must fit into {MOST_HEADER:,} bytes", "more", "use fewer inputs"
        )
    at = content.index(blank.encode())
    rest = memoryview(content)
    write_whole(path, b"".join((rest[:at], _digest(content, at).encode(), rest[at + len(blank) :])))


def _in_order(content: bytes) -> bytes:
    """The same file with its entries in order of their names: safetensors writes them in any."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    entries = {"__metadata__": dict(sorted(header.pop("__metadata__").items()))}
    text = json.dumps(entries | header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def read(path: Path, *, most: int = MOST) -> tuple[State, dict[str, str], bool]:
    """Tensors, metadata, and whether they are sealed. Raises ModelError, for a broken seal too.

    most: the largest file that is read, in bytes.
    """
    from safetensors.numpy import load

    try:
        content = _content(path, most)
    except OSError as problem:
        raise ModelError(
            "a model must be a file that save() wrote", f"{path}: {reason_of(problem)}", "train one"
        ) from None
    try:
        state = load(content)
    except MemoryError:
        raise
    except Exception as problem:  # SafetensorError, or what NumPy says of a type or a shape
        raise ModelError(
            "a model must be a safetensors file that fastmlp wrote", f"{path}: {reason_of(problem)}",
            "train it again",
        ) from None  # fmt: skip
    end = 8 + int.from_bytes(content[:8], "little")
    header = parse_json(content[8:end], f"the header of {path}", ModelError)
    metadata: dict[str, str] = header.get("__metadata__") or {}
    if SEAL not in metadata:
        return state, metadata, False
    at = content.find(metadata[SEAL].encode(), 8, end)
    if at < 0 or _digest(content, at) != metadata[SEAL]:
        raise ModelError(
            f"{path} must be as it was saved", "bytes of another sha256", "copy it again, or train it again"
        )
    return state, metadata, True


def _content(path: Path, most: int) -> bytes:
    """All of the file at one moment, or its first bytes if it is no safetensors. Raises OSError."""
    with open(path, "rb", opener=regular) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"more than {most:,} bytes")
        header = int.from_bytes(file.read(8), "little")
        file.seek(0)
        return file.read(size if header <= min(size - 8, MOST_HEADER) else 8)


def _digest(content: bytes, at: int) -> str:
    """Digest of all bytes but the 64 that hold the digest itself."""
    digest = hashlib.sha256(content[:at])
    digest.update(memoryview(content)[at + 64 :])
    return digest.hexdigest()
