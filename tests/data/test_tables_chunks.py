"""Tables of text in chunks: the same as the whole, from files and streams, in little memory."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc

import numpy as np
import pytest
from counted_work import Work, functions_of

from fastmlp.data import tables
from fastmlp.data.tables import gather, rows, text

ARROW = rows.arrow_or_none()


def write(folder, content):
    path = folder / "a.csv"
    path.write_text(content)
    return path


def cells(column):
    """The cells of a column, None where one is missing."""
    values = column.values.tolist()
    if column.kind == "text":
        values = [(*column.words, None)[value] for value in values]
    return [None if lost else value for value, lost in zip(values, column.missing, strict=True)]


@pytest.mark.parametrize("length", [1, 3, 7, 1000])
@pytest.mark.parametrize("arrow", [None, ARROW])
@pytest.mark.parametrize("stream", [False, True])
def test_chunks_are_the_table_in_pieces(tmp_path, length, arrow, stream):
    g = random.Random(0)
    cities = ["Rome", "New\nYork", ""]
    lines = [f'{g.randint(0, 99)},"{g.choice(cities)}",{g.random():.3}' for _ in range(50)]
    content = "a,b,c\n" + "\n".join(lines) + "\n\n"
    path = write(tmp_path, content)
    whole = text.read(path)
    raw = gzip.compress(content.encode()) if length == 3 else content.encode()
    file = io.BytesIO(raw) if stream else path
    found = list(text.chunks(file, length, size=64, arrow=arrow))
    assert [len(chunk) for chunk in found[:-1]] == [length] * (len(found) - 1)
    for name in whole.names:
        assert [cell for chunk in found for cell in cells(chunk[name])] == cells(whole[name])
    assert np.concatenate([chunk.lines for chunk in found]).tolist() == whole.lines.tolist()
    if stream:
        assert found[0].where == "standard input"


def test_small_chunks_of_a_large_block_are_cut_once(tmp_path):
    """Work is counted: a chunk costs as much in a block of four times the rows."""
    costs = []
    for n in (200, 800):
        path = write(tmp_path, "5,6,7\n" * n)
        with Work(functions_of(gather, rows, text)) as work:
            assert len(list(text.chunks(path, 2, {"0": "text"}))) == n // 2
        costs.append(work.done / n)
    assert costs[1] / costs[0] < 1.2


def test_chunks_keep_the_kinds_of_the_first_or_those_that_are_known(tmp_path, data_refused):
    path = write(tmp_path, "a,b\n1,x\n2,\n3,7\nx,8\n")
    with data_refused("line 5 of .* must hold a number in column 'a', as in the first rows; got 'x'"):
        list(tables.chunks(path, 2))
    found = list(tables.chunks(path, 2, kinds={"b": "text"}))
    assert [chunk["a"].kind for chunk in found] == ["number", "text"]
    assert [chunk["b"].kind for chunk in found] == ["text", "text"]


def test_chunks_of_a_long_stream_take_little_memory():
    class Endless(io.RawIOBase):
        """Rows that are nowhere."""

        left = 60_000

        def readable(self):
            return True

        def readinto(self, buffer):
            count = min(self.left, len(buffer) // 8) or (self.left > 0)
            buffer[: 8 * count] = b"12,abcd\n" * count
            self.left -= count
            return 8 * count

    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in text.chunks(Endless(), 1_000, size=1 << 14))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert total == 60_000
