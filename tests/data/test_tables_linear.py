"""A CSV file costs work in proportion to its size, whatever is wrong with it and wherever.

Work is counted, not timed: see counted_work.py.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from counted_work import Work, functions_of

from fastmlp.data.tables import blocks, cells, gather, head, rows, text
from fastmlp.errors import DataError
from fastmlp.files import bounded

COUNTED = functions_of(blocks, cells, gather, head, rows, text, bounded)
TWO = "a,2,1\nb,3,4\n"
FILES = {  # (size of a block, the file of a size)
    "cell": (None, lambda n: TWO * n + "a,x,2\n"),
    "columns": (None, lambda n: TWO * n + "a,2\n"),
    "quotes": (None, lambda n: 'a,"2",1\nb,"3",4\n' * n + 'a,"3"4,2\n'),
    "spaces beside quotes": (None, lambda n: 'a, "2" ,1\nb,"3",4\n' * n),
    "quotes in cells": (None, lambda n: 'a,2" x,1\nb,3,4\n' * n),
    "many blocks of spaces beside quotes": (64, lambda n: 'a, "2" ,1\nb,"3",4\n' * (n // 8)),
    "lines in quotes": (None, lambda n: 'a,"2\n\n",1\nb,"3",4\n' * n),
    "blank lines": (None, lambda n: "a,2,1\n\n \n" * n + "a,x,2\n"),
    "CRLF": (None, lambda n: TWO.replace("\n", "\r\n\r\n") * n + "a,,2\r\n"),
    "semicolons": (None, lambda n: TWO.replace(",", ";") * n + "a;1,5;2\n"),
    "fractions": (None, lambda n: "a,2.5,1\nb,3,4.5\n" * n + "a,2,x\n"),
    "nothing wrong": (None, lambda n: TWO * n),
    "whole numbers": (None, lambda n: "5,2,1\n6,3,4\n" * n),
    "many words": (None, lambda n: "".join(f"w{i},x\n" for i in range(2 * n))),
    "words late": (None, lambda n: "1,x\n" * n + "w,y\n" * n),
    "many blocks": (32, lambda n: TWO * (n // 8) + "a,x,2\n"),
    "nothing wrong, many blocks": (32, lambda n: TWO * (n // 8)),
    "one line in many blocks": (64, lambda n: "1,x\n" + "1," * (8 * n)),
    "one line in one block": (None, lambda n: "1,2\n" + "1," * (8 * n)),
    "one line of quotes": (None, lambda n: "1,2\n" + '"1",' * n + "x"),
    "an open quote": (None, lambda n: "1,2\n1," + '"' * (16 * n + 1)),
    "an open quote in many blocks": (64, lambda n: '1,x\n1,"' + "x,1\n" * (2 * n)),
    "a cell of one kind": (None, lambda n: "1,2\n1," + "1" * (16 * n) + "x"),
    "blank lines alone, many blocks": (64, lambda n: "\n" * (16 * n)),
    "a blank line": (None, lambda n: " " * (32 * n) + "\n1,2"),
    "returns": (None, lambda n: "1,2\n1," + "\r" * (32 * n)),
    "a wide header": (None, lambda n: ",".join(f"a{i}" for i in range(2 * n)) + "\n1,2"),
    "a wide table": (None, lambda n: ",".join(f"a{i}" for i in range(n)) + "\n" + "1," * (n - 1) + "x\n"),
    "a wide count": (None, lambda n: ",".join(map(str, range(2 * n))) + "\n1,2"),
    "a name twice": (
        None,
        lambda n: ",".join(f"a{i}" for i in range(2 * n)) + ",a0\n" + "1," * (2 * n) + "1\n",
    ),
}


def reading(path, size):
    text.read(path, size=size or blocks.BLOCK)


def growth(path, content, reader, counted=()):
    """How much more work a byte costs in a file that is four times as large."""
    costs = []
    for n in (300, 1_200):
        path.write_text(content(n), newline="")
        with Work([*COUNTED, *counted]) as work, suppress(DataError):
            reader(path)
        costs.append(work.done / len(content(n)))
    return costs[1] / costs[0]


@pytest.mark.parametrize("name", FILES)
def test_four_times_the_file_is_four_times_the_work(tmp_path, name):
    """A byte costs four times as much, were it quadratic: see below."""
    size, content = FILES[name]
    assert 0.4 < growth(tmp_path / "a.csv", content, partial(reading, size=size)) < 1.3


# Readers of quadratic work, each in its own way


def slicing(path):
    text, rows = path.read_text(), []
    while text:
        rows.append(text[: text.index("\n")])
        text = text[text.index("\n") + 1 :]
    return rows


def partitioning(path):
    line, _, rest = path.read_text().partition("\n")
    while rest:
        line, _, rest = rest.partition("\n")
    return line


def parsing_from_the_top(path):
    rows = path.read_text().splitlines()
    return [np.loadtxt(rows[:end], np.int64, delimiter=",") for end in range(32, len(rows) + 32, 32)]


def popping(path):
    rows, done = path.read_text().splitlines(), []
    while rows:
        done.append(rows.pop(0))
    return done


def concatenating(path):
    text = ""
    for line in path.read_text().splitlines():
        text = text + line + "\n"
    return text


def growing(path):
    text = b""
    for line in path.read_bytes().splitlines():
        text += line
    return text


def formatting(path):
    text = ""
    for line in path.read_text().splitlines():
        text = f"{text}{line}"
    return text


def joining(path):
    text = ""
    for line in path.read_text().splitlines():
        text = "\n".join([text, line])
    return text


def counting_lines(path):
    text, ends = path.read_text(), []
    for at in range(0, len(text), 32):
        ends.append(text.count("\n", 0, at))
    return ends


def finding_from_the_top(path):
    rows = path.read_text().splitlines()
    return [rows.index(f"{number:05}") for number in range(len(rows) // 4)]


def looking_through(path):
    seen = []
    for line in path.read_text().splitlines():
        if line not in seen:
            seen.append(line)
    return seen


def looping(path):
    rows = path.read_text().splitlines()
    return [sum(1 for other in rows if other is row) for row in rows[::8]]


def stacking(path):
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

    assert growth(tmp_path / "a.csv", text, reader, [reader]) > 2


def cutting_what_is_left(text, separator):
    """In place of ``records``."""
    at = 0
    while at < len(text):
        record = text[at:].split("\n")[0]
        yield at, at + len(record), record.split(separator)
        at += len(record) + 1


@pytest.mark.slow
def test_a_worse_part_of_the_reader_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "records", cutting_what_is_left)
    content = FILES["quotes in cells"][1]
    reader = partial(reading, size=None)
    assert growth(tmp_path / "a.csv", content, reader, [cutting_what_is_left]) > 2


def test_a_line_number_far_into_a_large_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("5,1,2\n1,3,4\n" * 100_000 + "0,x,2\n")
    with pytest.raises(DataError, match=r"line 200001 of .* got 'x'"):
        text.read(path)
