"""Drawn tables as text: what is read is what was drawn, and the same bytes with pyarrow and without."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from written_tables import cells_of, drawn_table, expected

from fastmlp.data.tables import rows, text
from fastmlp.errors import DataError

ARROW = rows.arrow_or_none()
PIECES = [
    *'",;\t|\n\r .+-eE_#\0', *"0123456789" * 3, "2.5", "-7", '""', '"1"', "\r\n", "\n\n", "1e400", "1e38",
    "1_0", "0x1", "nan", "N/A", "inf", "x", "label", "Unnamed: 0", "1,000", "1.000,5", "１", "\ufeff", "é",
    "yes", "\x0b", "\x1c", "\u00a0", "\u2028", "-0", "9007199254740993", "9" * 20, "2020-01-01", "true", "T",
    '"\n"', ' "a" ',
]  # fmt: skip


def outcome(path: Path, size: int, arrow: object, **more: object) -> object:
    """All of a Table in plain values, or the words of the refusal."""
    try:
        table = text.read(path, size=size, arrow=arrow, **more)
    except DataError as error:
        return str(error) if error.do and "\n" not in str(error) else error
    columns = [
        (c.name, c.kind, c.values.dtype.str, c.values.tobytes(), c.words, c.whole) for c in table.columns
    ]
    return columns, table.lines.tolist(), table.told


def both(path: Path, content: bytes, size: int, **more: object) -> object:
    path.write_bytes(content)
    by_python, by_arrow = (outcome(path, size, arrow, **more) for arrow in (None, ARROW))
    assert by_python == by_arrow, content
    return by_python


def check_drawn(path: Path, seed: int) -> None:
    drawn = drawn_table(seed)
    path.write_bytes(drawn.text.encode())
    for size in (1 << 22, 400, 60):
        for arrow in (None, ARROW):
            table = text.read(path, size=size, arrow=arrow)
            assert list(table.names) == list(drawn.columns), seed
            for column in table.columns:
                kind, cells = drawn.columns[column.name]
                assert cells_of(column) == expected(cells, column.kind), (seed, column.name)
                assert column.kind == kind, (seed, column.name, kind)
                assert column.whole == drawn.whole[column.name], (seed, column.name)
        both(path, drawn.text.encode(), size)


@pytest.mark.parametrize("seed", range(8))
def test_what_was_drawn_is_read(tmp_path, seed):
    for k in range(6):
        check_drawn(tmp_path / "a.csv", 1000 * seed + k)


@pytest.mark.slow
def test_much_more_that_was_drawn_is_read(tmp_path):
    for seed in range(10_000, 12_000):
        check_drawn(tmp_path / "a.csv", seed)


def mutant(seed: int) -> bytes:
    """The text of a drawn table with some pieces put in, taken out or doubled."""
    whole, draw = drawn_table(seed).text, random.Random(seed)
    for _ in range(draw.choice([1, 1, 1, 2, 3, 5])):
        at, to = sorted((draw.randint(0, len(whole)), draw.randint(0, len(whole))))
        to = min(to, at + draw.choice([0, 1, 1, 2, 4]))
        whole = whole[:at] + draw.choice(["", whole[at:to] * 2, *draw.choices(PIECES, k=4)]) + whole[to:]
    return whole.encode()


@pytest.mark.parametrize("seed", range(8))
def test_changed_text_is_read_alike(tmp_path, seed):
    sizes = random.Random(seed).choices([30, 400, 1 << 22], k=12)
    found = [both(tmp_path / "a.csv", mutant(1000 * seed + k), size) for k, size in enumerate(sizes)]
    refused = sum(isinstance(outcome, str) for outcome in found)
    assert 0 < refused < 12


@pytest.mark.slow
def test_much_more_changed_text_is_read_alike(tmp_path):
    for seed in range(20_000, 24_000):
        both(tmp_path / "a.csv", mutant(seed), random.Random(seed).choice([30, 400, 1 << 22]))


def test_the_comparison_sees_a_difference(tmp_path, monkeypatch):
    monkeypatch.setattr(rows.ArrowCells, "numbers", lambda cells: (np.zeros(len(cells)), True))
    with pytest.raises(AssertionError):
        both(tmp_path / "a.csv", b"a,b\n" + b"1.5,x\n" * 9, 1 << 22)
