"""The CSV reader against a slow one in Python, on changed files; and that a fault costs one pass.

The slow reader is the csv module, one regular expression for a number, and float: it shares nothing with the
fast one. What it takes the fast one must take, with the same values; what it refuses must be refused.
"""

from __future__ import annotations

import csv
import io
import random
import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from fastmlp.data import csv as csvfile
from fastmlp.errors import DataError

NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
NEVER = {"nan", "+nan", "-nan", "inf", "+inf", "-inf", "n/a", "#n/a", "<na>"}


class Refused(Exception):
    """The slow reader takes no such file."""


def cells_of(line, separator):
    """By the csv module, with spaces around quotes taken away first: it has no word for those."""
    pad = r"[ \t]*" if separator != "\t" else " *"
    line = re.sub(rf'(?:(?<={separator})|^){pad}"', '"', line)
    line = re.sub(rf'"{pad}(?={separator}|$)', '"', line)
    if '"' in re.sub(rf'(?:(?<={separator})|^)"(?:[^"]|"")*"(?={separator}|$)', "", line):
        raise Refused
    return [cell.strip(" \t") for cell in next(csv.reader([line], delimiter=separator, strict=True))]


def is_header(cells, below):
    numbers = [cell for cell in cells if NUMBER.fullmatch(cell)]
    names = [cell for cell in cells if re.search(r"[^\W\d_]", cell) and cell not in numbers]
    counting = numbers in ([str(i) for i in range(len(numbers))], [str(i + 1) for i in range(len(numbers))])
    if not {name.casefold() for name in names} - NEVER - {"na", "null", "none", "infinity"}:
        if cells == numbers and counting and len(cells) >= 3 and all("." in cell for cell in below):
            return True
        if counting and numbers and (cells[0], cells[1:], numbers[0]) == ("", numbers, "0"):
            return True
        if cells == numbers and counting and numbers[0] == "0":
            raise Refused  # in doubt
        return False
    unnamed = not cells[0] or cells[0].startswith("Unnamed: 0")
    if (
        numbers
        and "label" not in map(str.casefold, names)
        and not (unnamed and counting and numbers[0] == "0")
    ):
        raise Refused
    if any(
        cell not in numbers and (cell not in names or cell.casefold() in NEVER) for cell in cells[unnamed:]
    ):
        raise Refused
    return True


def slow(content, separator):
    """X and y as lists of float, the label being the column ``label`` or the first with a name."""
    lines = [re.sub("\r{1,3}$", "", line) for line in content.decode("utf-8-sig", "replace").split("\n")]
    lines = [line for line in lines if line.strip(" \t" if separator != "\t" else " ")]
    if not lines or "\r" in "".join(lines) or "\0" in "".join(lines[:2]):
        raise Refused
    rows = [cells_of(line, separator) for line in lines]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        raise Refused
    header = [re.sub("^#[# ]*", "", rows[0][0]), *rows[0][1:]]
    at, first = 0, 0
    if is_header(header, rows[1] if len(rows) > 1 else ["1"]):
        del rows[0]
        while first < len(header) and (
            header[first].startswith("Unnamed: 0") or (first, header[first]) == (0, "")
        ):
            first += 1
        labels = [i for i, name in enumerate(header) if name.casefold() == "label"]
        if len(labels) > 1:
            raise Refused
        at = labels[0] if labels else first
        if not labels and header.count(header[at]) > 1:
            raise Refused
    if not rows or any(not NUMBER.fullmatch(cell) for row in rows for cell in row):
        raise Refused
    y = [float(row[at]) for row in rows]
    X = [[float(cell) for i, cell in enumerate(row) if i >= first and i != at] for row in rows]
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.array(X, np.float64).astype(np.float32)).all()
    if not X[0] or not finite or any(not 0 <= value < 2**53 or value % 1 for value in y):
        raise Refused
    return np.array(X, np.float64).astype(np.float32).tolist(), y


def fast(content, block=csvfile.BLOCK):
    """By the reader itself, from memory: to write thousands of files takes longer than to read them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfile, "opened", lambda path: nullcontext((io.BytesIO(content), len(content))))
        part = csvfile.read(Path("a.csv"), block=block)
    return part.X.astype(np.float32).tolist(), part.y.tolist()


WHOLE = [
    "label,a,b\n1,2,3.5\n0,4,-5\n1,6,7e1\n",
    "2,3,5\r\n1,4,6\r\n0,9,255\r\n",
    '"label";"a;b";"c"\r\n1;"2";3\r\n"0"; "4" ;5.5\r\n',
    "a\tlabel\tb\n7\t1\t8\n9\t0\t3\n",
    "\ufeff,label,0,1\n0,1,5,6\n1,0,7,8\n",
    "0,1,2,3\n1.0,0.5,2.5,3.5\n0.0,4.5,5.5,6.5\n",
    "9007199254740991,1\n9007199254740990,2\n\n3,4\n",
    '"","x","y"\n"1",0,1.5\n"2",1,2.5\n',
]
PIECES = [
    *'",;\t\n\r .+-eE_#\0', *"0123456789" * 3, "2.5", "-7", '""', '"1"', "\r\n", "\n\n", "1e400", "1e38",
    "1_0", "0x1", "nan", "N/A", "NA", "inf", "x", "label", "Unnamed: 0", "1,000", "1,5", "１", "\ufeff", "é",
    "\x0b", "\x1c", "\u00a0", "\u2028", "-0", "9007199254740993", "3.4028235e38", "3.4028236e38", "9" * 20,
]  # fmt: skip


def mutant(draw):
    """A whole file with some pieces put in, taken out or doubled."""
    text = draw.choice(WHOLE)
    for _ in range(draw.choice([1, 1, 1, 2, 3, 5])):
        at, to = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        to = min(to, at + draw.choice([0, 1, 1, 2, 4]))
        text = text[:at] + draw.choice(["", text[at:to] * 2, *draw.choices(PIECES, k=4)]) + text[to:]
    return text.encode()


def outcomes(seed, count, block=csvfile.BLOCK):
    """How many mutants both read alike, how many both refuse, and those on which they differ."""
    draw, alike, refused, different = random.Random(seed), 0, 0, []
    for _ in range(count):
        content = mutant(draw)
        slowly = []
        for separator in ",;\t":
            try:
                slowly.append(slow(content, separator))
            except (Refused, csv.Error):
                continue
        try:
            found = fast(content, block)
        except DataError as error:
            found = None
            if "must be lines of numbers" in str(error) or "\n" in str(error):  # the fault itself has a name
                different.append((content, str(error), slowly))
        alike += found is not None
        refused += found is None
        if (found not in slowly) if found else slowly:
            different.append((content, found, slowly))
    return alike, refused, different


def test_the_slow_reader_takes_the_whole_files():
    for text in WHOLE:
        separator = ";" if ";" in text else "\t" if "\t" in text else ","
        assert slow(text.encode(), separator) == fast(text.encode())


def test_changed_files_are_read_alike_or_refused_by_both():
    alike, refused, different = outcomes(1, 3_000)
    assert different == []
    assert alike > 500
    assert refused > 500


@pytest.mark.slow
def test_many_more_changed_files():
    for block in (1, 16, csvfile.BLOCK):
        assert outcomes(2 + block, 30_000, block)[2] == []


def test_the_comparison_sees_a_reader_that_is_wrong(monkeypatch):
    monkeypatch.setattr(csvfile, "_quotes_cells", lambda text, separator: True)
    assert outcomes(1, 1_000)[2]
