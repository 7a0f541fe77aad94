"""A CSV file costs work in proportion to its size, whatever is wrong with it and wherever.

Work is counted, not timed: see counted_work.py.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from counted_work import Work, functions_of

from fastmlp.data import checks, csv
from fastmlp.errors import DataError
from fastmlp.files import bounded

COUNTED = functions_of(csv, csv.head, csv.line, bounded, checks)
TWO = "0,2,1\n1,3,4\n"
FILES = {  # (size of a block, the file of a size)
    "cell": (None, lambda n: TWO * n + "0,,2\n"),
    "label": (None, lambda n: TWO * n + "1.5,1,2\n"),
    "columns": (None, lambda n: TWO * n + "1,2\n"),
    "float32": (None, lambda n: TWO * n + "1,2,1e39\n"),
    "quotes": (None, lambda n: '0,"2",1\n1,"3",4\n' * n + '1,"3"4,2\n'),
    "blank lines": (None, lambda n: "0,2,1\n\n \n" * n + "0,,2\n"),
    "CRLF": (None, lambda n: TWO.replace("\n", "\r\n\r\n") * n + "0,,2\r\n"),
    "semicolons": (None, lambda n: TWO.replace(",", ";") * n + "0;1,5;2\n"),
    "fractions": (None, lambda n: "0,2.5,1\n1,3,4.5\n" * n + "0,2,x\n"),
    "nothing wrong": (None, lambda n: TWO * n),
    "many blocks": (32, lambda n: TWO * (n // 8) + "0,,2\n"),
    "nothing wrong, many blocks": (32, lambda n: TWO * (n // 8)),
    "one line in many blocks": (64, lambda n: "1," * (8 * n)),
    "one line in one block": (None, lambda n: "1,2\n" + "1," * (8 * n)),
    "one line of quotes": (None, lambda n: "1,2\n" + '"1",' * n + "x"),
    "an open quote": (None, lambda n: "1,2\n1," + '"' * (16 * n + 1)),
    "a cell of one kind": (None, lambda n: "1,2\n1," + "1" * (16 * n) + "x"),
    "blank lines alone, many blocks": (64, lambda n: "\n" * (16 * n)),
    "a blank line": (None, lambda n: " " * (32 * n) + "\n1,2"),
    "returns": (None, lambda n: "1,2\n1," + "\r" * (32 * n)),
    "a wide header": (None, lambda n: ",".join(f"a{i}" for i in range(2 * n)) + "\n1,2"),
    "a wide header and no such label": (None, lambda n: ",".join(f"a{i}" for i in range(2 * n))),
    "a wide count": (None, lambda n: ",".join(map(str, range(2 * n))) + "\n1,2"),
}


def growth(path, text, label=None, reader=csv.read, counted=()):
    """How much more work a byte costs in a file that is four times as large."""
    costs = []
    for n in (300, 1_200):
        path.write_text(text(n), newline="")
        with Work([*COUNTED, *counted]) as work, suppress(DataError):
            reader(path, label)
        costs.append(work.done / len(text(n)))
    return costs[1] / costs[0]


@pytest.mark.parametrize("name", FILES)
def test_four_times_the_file_is_four_times_the_work(tmp_path, name):
    """A byte costs four times as much, were it quadratic: see below."""
    block, text = FILES[name]
    label = "b0" if "label" in name and "header" in name else None
    assert 0.9 < growth(tmp_path / "a.csv", text, label, partial(csv.read, block=block or csv.BLOCK)) < 1.1


# Readers of quadratic work, each in its own way


def slicing(path, label):
    text, rows = path.read_text(), []
    while text:
        rows.append(text[: text.index("\n")])
        text = text[text.index("\n") + 1 :]
    return rows


def partitioning(path, label):
    line, _, rest = path.read_text().partition("\n")
    while rest:
        line, _, rest = rest.partition("\n")
    return line


def parsing_from_the_top(path, label):
    rows = path.read_text().splitlines()
    return [np.loadtxt(rows[:end], np.int64, delimiter=",") for end in range(32, len(rows) + 32, 32)]


def popping(path, label):
    rows, done = path.read_text().splitlines(), []
    while rows:
        done.append(rows.pop(0))
    return done


def concatenating(path, label):
    text = ""
    for line in path.read_text().splitlines():
        text = text + line + "\n"
    return text


def growing(path, label):
    text = b""
    for line in path.read_bytes().splitlines():
        text += line
    return text


def formatting(path, label):
    text = ""
    for line in path.read_text().splitlines():
        text = f"{text}{line}"
    return text


def joining(path, label):
    text = ""
    for line in path.read_text().splitlines():
        text = "\n".join([text, line])
    return text


def counting_lines(path, label):
    text, ends = path.read_text(), []
    for at in range(0, len(text), 32):
        ends.append(text.count("\n", 0, at))
    return ends


def finding_from_the_top(path, label):
    rows = path.read_text().splitlines()
    return [rows.index(f"{number:05}") for number in range(len(rows) // 4)]


def looking_through(path, label):
    seen = []
    for line in path.read_text().splitlines():
        if line not in seen:
            seen.append(line)
    return seen


def looping(path, label):
    rows = path.read_text().splitlines()
    return [sum(1 for other in rows if other is row) for row in rows[::8]]


def stacking(path, label):
    table = np.empty((0, 3))
    for line in path.read_text().splitlines():
        table = np.concatenate([table, np.array([[float(cell) for cell in line.split(",")] + [0, 0]])])
    return table


READERS = (
    slicing, partitioning, parsing_from_the_top, popping, concatenating, growing, formatting, joining,
    counting_lines, finding_from_the_top, looking_through, looping, stacking,
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_quadratic_work_is_seen(tmp_path, reader):
    def text(n):
        return "".join(f"{i:05}\n" for i in range(n))

    assert growth(tmp_path / "a.csv", text, None, reader, [reader]) > 2


def reading_whole_lines(stream, path, block):
    """In place of ``_blocks``: a line that goes on is put together anew for each block."""
    first, rest = 1, b""
    while text := stream.read(block):
        head, newline, rest = (rest + text).rpartition(b"\n")
        if newline:
            yield csv._Block(first, head)
            first += head.count(b"\n") + 1
    if rest:
        yield csv._Block(first, rest)


def a_few_lines_and_the_others(block):
    """In place of ``_Block.halves``."""
    lines = block.text.split(b"\n")
    first, second = b"\n".join(lines[:32]), b"\n".join(lines[32:])
    return csv._Block(block.first, first), csv._Block(block.first + 32, second)


def cutting_what_is_left(line, separator):
    """In place of ``cells_of``."""
    cells = []
    while line:
        cell, _, line = line.partition(separator)
        cells.append(cell.strip('"'))
    return cells


@pytest.mark.parametrize(
    ("home", "name", "worse", "file"),
    [
        (csv, "_blocks", reading_whole_lines, "one line in many blocks"),
        (csv._Block, "halves", a_few_lines_and_the_others, "float32"),
        (csv.head, "cells_of", cutting_what_is_left, "a wide header"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_worse_part_of_the_reader_is_seen(tmp_path, monkeypatch, home, name, worse, file):
    monkeypatch.setattr(home, name, worse)
    block, text = FILES[file]
    reader = partial(csv.read, block=block or csv.BLOCK)
    assert growth(tmp_path / "a.csv", text, reader=reader, counted=[worse]) > 2


def test_parsing_in_all_is_a_few_times_the_file(tmp_path, monkeypatch):
    """Wherever the fault is: all rows that NumPy is given, counted."""
    parsed = []

    def counted(rows, *args, **kwargs):
        parsed.append(len(rows))
        return loadtxt(rows, *args, **kwargs)

    loadtxt = np.loadtxt
    monkeypatch.setattr(np, "loadtxt", counted)
    path = tmp_path / "a.csv"
    for at in (0, 1, 2_500, 4_999, 5_000):
        parsed.clear()
        path.write_text(TWO * at + "0,,2\n" + TWO * (5_000 - at))
        with pytest.raises(DataError, match=f"line {2 * at + 1} of"):
            csv.read(path)
        assert sum(parsed) <= 5 * 10_001  # as integers, then as fractions, and the halves in turn


@pytest.mark.parametrize("block", [csv.BLOCK, 64])
@pytest.mark.parametrize("bad", ["0,,2", "1.5,1,2", "1,2", "1,2,1e39", '1,"3"4,2'])
def test_few_lines_are_gone_through_for_a_fault(tmp_path, monkeypatch, block, bad):
    """The last of them has it."""
    looked = []

    def counted(line, separator):
        looked.append(line)
        return cells_of(line, separator)

    cells_of = csv.cells_of
    monkeypatch.setattr(csv, "cells_of", counted)
    path = tmp_path / "a.csv"
    path.write_text(TWO * 5_000 + bad + "\n" + TWO)
    with pytest.raises(DataError, match="line 10001"):
        csv.read(path, block=block)
    assert len(looked) <= csv.FEW_LINES + 2
    assert looked[-1] == bad


def test_a_line_number_far_into_a_large_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0,1,2\n1,3,4\n" * 100_000 + "0,,2\n")
    with pytest.raises(DataError, match=r"line 200001 of .* got '' in column 1"):
        csv.read(path)
