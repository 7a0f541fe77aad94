"""Blocks: a text file, or a stream of one, in pieces of whole records; a record may go over several lines.

Where a record ends depends on quotes: one opens at the beginning of a cell. Blocks in which every quote opens
or closes a whole cell, or is doubled within one, are told apart (``plain``): they are read fast. Knows
nothing of what cells hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import DataError
from fastmlp.files.bounded import BYTE_BUDGET, Stream

BLOCK = 2 << 20
MOST_RECORD = 16 << 20  # bytes
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BINARY = {b"PAR1": "Parquet", b"ARRO": "Arrow", b"FEA1": "Feather", b"PK\x03\x04": "zip", b"\x93NUM": ".npy"}
OPEN = re.compile(r'[ \t]*+"(?:[^"]++|"")*+"?[ \t]*+\r{0,2}\Z')  # a cell that may go on


class Block(NamedTuple):
    """Whole records without the last one's line end. ``first`` is the line, from 1, of the first one.

    quoted: there are quotes in it.
    plain:  each of them stands around a whole cell, or is doubled in one.
    """

    first: int
    text: bytes
    quoted: bool = False
    plain: bool = True


def cell_pattern(separator: str) -> re.Pattern[str]:
    """Pattern of one cell and what ends it: the separator, a line end, or the end of the text.

    Groups: what stands between quotes, what ended it; what stands without quotes, what ended that.
    """
    s = re.escape(separator)
    pad = "[ ]*+" if separator == "\t" else r"[ \t]*+"
    return re.compile(rf'{pad}"((?:[^"]++|"")*+)"{pad}({s}|\n|\Z)|(?!{pad}")([^{s}\n]*+)({s}|\n|\Z)')


def records(text: str, separator: str) -> Iterator[tuple[int, int, list[str] | None]]:
    """Records of a text: where each begins and ends, and its cells.

    The last one is (begin, place of the cell, None) where the quotes of a cell are wrong or do not close.
    """
    pattern, at, start = cell_pattern(separator), 0, 0
    cells: list[str] = []
    while match := pattern.match(text, at):
        quoted, after, plain, plain_after = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        end = plain_after if quoted is None else after
        at = match.end()
        if end != separator:
            yield start, at - len(end), cells
            if not end or at == len(text):
                return
            cells, start = [], at
    yield start, at, None


def begin(stream: Stream, where: str, size: int = BLOCK) -> bytes:
    """The first piece of a text, without its mark. Raises DataError for what is no text in UTF-8."""
    text = b""
    while len(text) < size or (text.count(b"\n") < 2 and len(text) < MOST_RECORD):  # a wide header
        more = stream.read(size)
        if not more:
            break
        text += more
    if text[:4] in BINARY:
        raise DataError(f"{where} must be text", f"{BINARY[text[:4]]}", "give it the ending of its format")
    if text.startswith(UTF16) or b"\0" in text[:4096]:
        raise DataError(
            f"{where} must be text in UTF-8",
            "UTF-16, or no text at all",
            "save it as UTF-8, or check which file this is",
        )
    return text.removeprefix(BOM)


class Resumed:
    """A stream of which a piece was read, as if it had not been."""

    def __init__(self, begun: bytes, stream: Stream) -> None:
        self.begun, self.stream, self.at = begun, stream, 0

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes at most, none at the end."""
        if self.at == len(self.begun):
            return self.stream.read(size)
        self.at += len(piece := self.begun[self.at : self.at + size])
        return piece


def blocks(stream: Resumed, separator: str, where: str, first: int = 1, size: int = BLOCK) -> Iterator[Block]:
    """The rest of a text, from line ``first`` on, in blocks of about so many bytes."""
    total, held, ended = 0, b"", False
    while not ended:
        more = stream.read(max(size, len(held)))
        held, total, ended = held + more, total + len(more), not more
        if ended:
            held = held.rstrip(b"\r")
        if total > BYTE_BUDGET:
            raise DataError(f"{where} must hold at most {BYTE_BUDGET:,} bytes", "more", "use a smaller file")
        end, quoted, plain = _cut(held, separator, first, where, ended)
        if end < 0 and len(held) > MOST_RECORD:
            raise DataError(
                f"line {first} of {where} must be at most {MOST_RECORD:,} bytes",
                "more" + (", in quotes that do not close" if quoted else ""),
                "check which file this is, and its quotes",
            )
        if end >= 0:
            text, held = held[:end], held[end + 1 :]
            yield Block(first, without_returns(text), quoted, plain)
            first += text.count(b"\n") + 1


def without_returns(text: bytes) -> bytes:
    """Take away the \\r at the ends of lines, twice where Python wrote it for Windows without newline=""."""
    if b"\r" in text:
        text = (text + b"\n").replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")[:-1]
    return text


def _cut(text: bytes, separator: str, first: int, where: str, ended: bool) -> tuple[int, bool, bool]:
    """Find where the last whole record of a text ends, -1 if there is none; and Block's quoted and plain."""
    if b'"' not in text:
        return len(text) if ended else text.rfind(b"\n"), False, True
    letters = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    if are_plain(text, separator, quotes):
        if ended and len(quotes) % 2:
            raise _wrong_quotes(text, int(quotes[-1]), first, where)
        lines = np.flatnonzero(letters == ord("\n"))
        outside = lines[np.searchsorted(quotes, lines) % 2 == 0]
        last = len(text) if ended else int(outside[-1]) if len(outside) else -1
        return last, True, True
    last = -1
    as_letters = text.decode("latin-1").replace("\r\r\n", "  \n").replace("\r\n", " \n")  # one a byte
    for _, end, cells in records(as_letters, separator):
        if cells is None:
            if ended or not OPEN.match(as_letters, end):
                raise _wrong_quotes(text, end, first, where)
        elif end < len(text) or ended:
            last = end
    return last, True, False


def are_plain(text: bytes, separator: str, quotes: NDArray[np.intp] | None = None) -> bool:
    """Tell whether quotes open at the beginnings of cells and close at their ends: Block's ``plain``.

    quotes: where they are, if that is known.
    """
    letters = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(letters == ord('"')) if quotes is None else quotes
    ends = np.zeros(256, np.bool_)
    ends[[ord(letter) for letter in f'{separator}\n"']] = True
    opening, closing = quotes[::2], quotes[1::2]
    if not ends[letters[opening[opening > 0] - 1]].all():
        return False
    ends[ord("\r")] = True
    return bool(ends[letters[closing[closing < len(letters) - 1] + 1]].all())


def _wrong_quotes(text: bytes, at: int, first: int, where: str) -> DataError:
    line = first + text.count(b"\n", 0, at)
    return DataError(
        f"line {line} of {where} must have quotes around whole cells only, that close",
        repr(text[at : at + 60].decode("utf-8", "replace")),
        "repair the line",
    )
