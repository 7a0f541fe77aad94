"""A CSV file costs a time in proportion to its size, whatever is wrong with it and wherever."""

from __future__ import annotations

import gc
import time
from contextlib import suppress

import numpy as np
import pytest

from fastmlp.data import csv
from fastmlp.errors import DataError

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


def seconds(path, text, label):
    """The least of three times, so that others on the machine do not count."""
    path.write_text(text, newline="")
    times = []
    for _ in range(3):
        start = time.process_time()
        with suppress(DataError):
            csv.read(path, label)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("name", FILES)
def test_four_times_the_file_takes_four_times_the_time(tmp_path, monkeypatch, name):
    """Sixteen times, were it quadratic."""
    block, text = FILES[name]
    if block:
        monkeypatch.setattr(csv, "BLOCK", block)
    label = "b0" if "label" in name and "header" in name else None
    ratios = []
    gc.disable()
    try:
        while len(ratios) < 4 and min(ratios, default=9) >= 9:  # others on the machine cost caches too
            n = 1_000
            while (small := seconds(tmp_path / "a.csv", text(n), label)) < 0.002 and n < 32_000:
                n *= 2
            ratios.append(seconds(tmp_path / "a.csv", text(4 * n), label) / max(small, 0.002))
    finally:
        gc.enable()
    assert min(ratios) < 9, ratios


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


@pytest.mark.parametrize("block", [None, 64])
@pytest.mark.parametrize("bad", ["0,,2", "1.5,1,2", "1,2", "1,2,1e39", '1,"3"4,2'])
def test_few_lines_are_gone_through_for_a_fault(tmp_path, monkeypatch, block, bad):
    """The last of them has it."""
    looked = []

    def counted(line, separator):
        looked.append(line)
        return cells_of(line, separator)

    cells_of = csv.cells_of
    monkeypatch.setattr(csv, "cells_of", counted)
    if block:
        monkeypatch.setattr(csv, "BLOCK", block)
    path = tmp_path / "a.csv"
    path.write_text(TWO * 5_000 + bad + "\n" + TWO)
    with pytest.raises(DataError, match="line 10001"):
        csv.read(path)
    assert len(looked) <= csv.FEW_LINES + 2
    assert looked[-1] == bad


def test_a_line_number_far_into_a_large_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0,1,2\n1,3,4\n" * 100_000 + "0,,2\n")
    with pytest.raises(DataError, match=r"line 200001 of .* got '' in column 1"):
        csv.read(path)
