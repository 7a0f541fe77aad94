"""What becomes of the columns of a table: beside a twin in plain Python, in any order, in chunks, no leak."""

from __future__ import annotations

import re
import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from drawn_columns import PEOPLE, cells_of, drawn_table, flag, number, text, time
from nasty import VALUES, said_in_a_line

from fastmlp.data.column_code import LEAST_ROWS, MOST_CATEGORIES, MOST_RARE, REASONS
from fastmlp.data.columns import Columns
from fastmlp.data.kinds import word_of
from fastmlp.data.table import Column, Table
from fastmlp.errors import ConfigError, DataError

SEEDS = range(40)


def twin(table, code, cells):
    """The inputs of a column's cells, as the head of column_code.py says it, one cell at a time."""
    rows = []
    for cell in cells:
        word = cell if code.kind == "text" or cell is None else word_of(float(cell), code.kind)
        if code.as_category:
            row = [float(word == category) for category in code.categories]
            row += [float(word in code.rare)] * bool(code.rare)
        else:
            row = [float(np.float32((code.fill if cell is None else float(cell)) - code.offset))]
        rows.append(row + [float(cell is None)] * code.flag)
    return rows


def twin_of_fit(column, asked):
    """The categories and the rare ones, or the median; whether gaps are flagged; why it is left out."""
    cells = [cell for cell in cells_of(column) if cell is not None]
    flagged = len(cells) < len(column)
    if not cells:
        return "empty"
    if asked or column.kind == "text":
        words = Counter(
            cell if column.kind == "text" else word_of(float(cell), column.kind) for cell in cells
        )
        if len(words) == 1 and not flagged:
            return "constant"
        common = sorted(words, key=lambda word: (-words[word], word))
        own = [word for word in common[:MOST_CATEGORIES] if words[word] >= LEAST_ROWS]
        alone = sum(count == 1 for count in words.values())
        scattered = 2 * alone > len(cells) or 10 * sum(words[word] for word in own) < len(cells)
        if len(words) > 1 and (not own if asked else scattered):
            return "all different"
        return tuple(sorted(own)), tuple(sorted(common[len(own) :][:MOST_RARE])), flagged
    if len(set(cells)) == 1:
        return ((), (), True) if flagged else "constant"
    middle = float(np.median(cells))
    return (middle if column.kind != "flag" else float(middle > 0.5)), flagged


def said(code):
    if code.dropped:
        return code.dropped
    return (code.categories, code.rare, code.flag) if code.as_category else (code.fill, code.flag)


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_are_as_a_twin_makes_them_cell_by_cell(seed):
    table = drawn_table(seed)
    asked = [name for k, name in enumerate(table.names) if k % 4 == 0 and name != "sound"]
    columns = Columns.fitted(table, as_category=asked)
    X = columns.encode(table)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    assert X.shape == (len(table), len(columns.names)) == (len(table), len(columns.numeric))
    at = 0
    for code, column in zip(columns.codes, table.columns, strict=True):
        assert said(code) == twin_of_fit(column, column.name in asked), column.name
        if code.dropped:
            assert code.width == len(code.inputs) == 0
            continue
        part = X[:, at : at + code.width]
        np.testing.assert_array_equal(part, twin(table, code, cells_of(column)))
        numeric = [column.kind in ("number", "time") and not code.as_category, *[False] * (code.width - 1)]
        assert columns.numeric[at : at + code.width].tolist() == numeric == list(code.numeric)
        at += code.width
    assert np.isfinite(X).all()
    assert ((X == 0) | (X == 1))[:, ~columns.numeric].all()
    assert columns.kinds == {column.name: column.kind for column in table.columns}


@pytest.mark.parametrize("seed", SEEDS)
def test_order_chunks_and_columns_without_inputs_change_nothing(seed):
    table = drawn_table(seed)
    draw = np.random.default_rng(seed)
    columns = Columns.fitted(table, drop=[name for name in table.names[:2] if name != "sound"])
    X = columns.encode(table)
    order = draw.permutation(len(table.columns))
    other = replace(table, columns=tuple(table.columns[k] for k in order))
    np.testing.assert_array_equal(columns.encode(other), X)
    out = columns.left_out(table)
    assert set(out) == {code.name for code in columns.codes if code.dropped}
    np.testing.assert_array_equal(columns.encode(table.without(out)), X)
    ends = sorted({0, len(table), *draw.integers(0, len(table), 3).tolist()})
    parts = [columns.encode(table[a:b]) for a, b in pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(parts), X)
    assert columns.encode(table[:0]).shape == (0, X.shape[1])


def test_many_rows_are_written_block_by_block(monkeypatch):
    table = drawn_table(3, 300)
    columns = Columns.fitted(table)
    X = columns.encode(table)
    for block, rows in ((1, 1), (100, 2), (1, 150), (10**9, 1)):
        monkeypatch.setattr("fastmlp.data.columns._BLOCK", block)
        monkeypatch.setattr("fastmlp.data.columns._LEAST_ROWS", rows)
        np.testing.assert_array_equal(columns.encode(table), X)


# --- no leak --------------------------------------------------------------------------------------


def shuffled(table, rows, seed):
    """The same table with other cells, of another draw, in all rows but these."""
    take = np.random.default_rng(seed).permutation(len(table))
    take[rows] = rows
    return table[take]


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_that_are_not_trained_on_change_nothing(seed):
    table = drawn_table(seed, 300)
    rows = np.sort(np.random.default_rng(seed).permutation(300)[:120])
    columns = Columns.fitted(table, rows=rows)
    assert columns == Columns.fitted(table[rows])
    assert columns == Columns.fitted(shuffled(table, rows, seed), rows=rows)
    mask = np.zeros(300, bool)
    mask[rows] = True
    assert columns == Columns.fitted(table, rows=mask) == Columns.fitted(table, rows=rows.tolist())


def test_the_check_of_leaks_goes_red():
    table = drawn_table(3, 300)
    rows = np.arange(120)
    assert Columns.fitted(table, rows=rows) != Columns.fitted(shuffled(table, [], 1), rows=rows)
    assert Columns.fitted(table, rows=rows) != Columns.fitted(table)


def test_words_of_other_rows_are_no_categories():
    table = Table((text("city", ["a", "b", "a", "b", "c", "c"]), number("n", range(6))))
    columns = Columns.fitted(table, rows=[0, 1, 2, 3])
    assert columns.names == ("city=a", "city=b", "n")
    assert columns.encode(table)[4:, :2].tolist() == [[0, 0], [0, 0]]


# --- categories -----------------------------------------------------------------------------------


def test_two_categories_have_two_inputs_so_that_an_unknown_one_is_neither():
    table = Table((text("sex", ["f", "m", "f", "m"]),))
    columns = Columns.fitted(table)
    assert columns.names == ("sex=f", "sex=m")
    assert columns.encode(Table((text("sex", ["m", "x", "f", None]),))).tolist() == [
        [0, 1],
        [0, 0],
        [1, 0],
        [0, 0],
    ]


def test_rare_ones_share_an_input_and_unknown_ones_have_none():
    cells = ["a"] * 5 + ["b"] * 3 + ["c", "d", None]
    columns = Columns.fitted(Table((text("t", cells),)))
    assert columns.names == ("t=a", "t=b", "t=(rare)", "t=(missing)")
    X = columns.encode(Table((text("t", ["d", "c", "e", "(rare)", None, "b"]),)))
    assert X.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0] * 4, [0] * 4, [0, 0, 0, 1], [0, 1, 0, 0]]


def test_the_commonest_have_an_input_and_a_thousand_others_are_known():
    counts = [3000 - k for k in range(20)] + [2] * 1500
    cells = np.repeat(np.arange(len(counts)), counts)
    words = tuple(f"w{k:05}" for k in range(len(counts)))
    column = replace(text("t", []), values=cells.astype(np.int32), words=words)
    code = Columns.fitted(Table((column,))).codes[0]
    assert code.categories == words[:MOST_CATEGORIES]  # of as many rows each the first
    assert code.rare == words[MOST_CATEGORIES : MOST_CATEGORIES + MOST_RARE]
    assert code.width == MOST_CATEGORIES + 1
    assert code.told == "100 categories, 1,000 rare ones together"
    X = Columns((code,)).encode(
        Table((text("t", [words[0], words[99], words[100], words[1099], words[1100]]),))
    )
    assert [row.nonzero()[0].tolist() for row in X] == [[0], [99], [100], [100], []]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["a", "b", "c", "d", "e", "f"], "all different"),
        (["a", "a", "c", "d", "e", "f"], "all different"),
        (["a", "a", "b", "b", "e", "f"], ""),
        (["a", "a", "a", "d", "e", "f"], ""),  # half of them alone
        ([f"patient {k // 2}" for k in range(4000)], "all different"),  # 100 of them have a twentieth
        ([f"patient {k // 2}" for k in range(400)], ""),
        (["a", "b", None, None], "all different"),
        (["a", None, None, None], ""),
        (["a", "a", "a"], "constant"),
        (["a", "a", None], ""),
        ([None, None], "empty"),
        ([""] * 3, "constant"),
    ],
)  # fmt: skip
def test_texts_that_are_categories_and_texts_that_are_not(cells, reason):
    table = Table((text("t", cells), number("n", range(len(cells)))))
    columns = Columns.fitted(table)
    assert columns.codes[0].dropped == reason
    assert (f"left out ({REASONS[reason]}): 't'" in columns.told) if reason else columns.codes[0].width


def test_numbers_flags_and_times_as_categories():
    table = Table(
        (
            number("zip", [90210, 10115, 90210, 10115, None], whole=True),
            number("size", [0.5, 1e300, 0.5, 1e300, 0.5]),
            flag("on", [True, False, True, False, None]),
            time("day", [0, 19000.5, 0, 19000.5, 0]),
        )
    )
    columns = Columns.fitted(table, as_category=table.names)
    assert columns.names == (
        "zip=10115", "zip=90210", "zip=(missing)", "size=0.5", "size=1e+300", "on=false", "on=true",
        "on=(missing)", "day=1970-01-01", "day=2022-01-08T12:00:00",
    )  # fmt: skip
    assert not columns.numeric.any()
    X = columns.encode(table)
    assert X[0].tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert X[4].tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 0]
    assert columns.kinds == {"zip": "number", "size": "number", "on": "flag", "day": "time"}


def test_a_gap_in_a_constant_column_is_all_that_is_seen_of_it():
    table = Table((number("n", [4, None, 4]), flag("f", [1, 1, None]), number("x", [1, 2, 3])))
    columns = Columns.fitted(table)
    assert columns.names == ("n=(missing)", "f=(missing)", "x")
    assert columns.encode(table)[:, :2].tolist() == [[0, 0], [1, 0], [0, 1]]
    other = Table((number("n", [1e9, None]), flag("f", [0, 0]), number("x", [1, 2])))
    assert columns.encode(other)[:, :2].tolist() == [[0, 0], [1, 0]]
    assert columns.told == ("only whether it is missing, all else is the same: 'n', 'f'",)


def test_many_columns_are_counted_in_a_line():
    columns = Columns.fitted(Table((*(number(f"n{k}", [1, 1]) for k in range(900)), number("x", [1, 2]))))
    names = ", ".join(f"'n{k}'" for k in range(8))
    assert columns.told == (f"left out (the same in every row): {names}, ... (900 columns)",)


# --- numbers --------------------------------------------------------------------------------------

SPREADS = {"of 1e-3": 1e-3, "of 1": 1.0, "of 1000": 1e3}


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1.7e9, -1e12])
def test_a_large_offset_costs_no_digits(offset, spread):
    given = offset + spread * np.random.default_rng(1).normal(size=500)
    for column in (number("t", given), number("t", [*given, -9999]), number("t", [*given, None])):
        columns = Columns.fitted(Table((column,)))
        X = columns.encode(Table((column,)))[:500, 0].astype(np.float64)
        assert np.abs(X - X[0] - (given - given[0])).max() <= 2e-4 * spread


def test_numbers_that_float32_holds_well_stay_as_they_are():
    for cells in (
        [0, 1, 2, 3],
        [1990, 2005, 2020, 2021],
        [1e30, 2e30, 5e30],
        np.linspace(-3, 900, 50),
        [5, 5, 5, 0.1],
    ):
        table = Table((number("n", cells),))
        columns = Columns.fitted(table)
        assert columns.codes[0].offset == 0
        np.testing.assert_array_equal(columns.encode(table)[:, 0], np.asarray(cells, np.float32))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3.5e38, -1e300])
def test_a_number_beyond_float32_is_named(value, data_refused):
    good = PEOPLE[:4].without(["class"])
    cells = [31, 45, 30, value]
    bad = replace(good, columns=(number("age", cells), *good.columns[1:]))
    with data_refused(r"line 5 of people\.csv must hold a finite number within float32 in column 'age'; got"):
        Columns.fitted(bad)
    with data_refused(r"line 5 of people\.csv .* 'age'"):
        Columns.fitted(bad, rows=[3, 0])
    with data_refused(r"row 3 .from 0. of people\.csv .* 'age'"):
        Columns.fitted(replace(bad, lines=None), rows=[0, 3])
    columns = Columns.fitted(bad, rows=[0, 1, 2])
    with data_refused(r"line 5 of people\.csv .* 'age'"):
        columns.encode(bad)
    assert Columns.fitted(bad, drop="age").encode(bad).shape[0] == 4


def test_a_number_too_far_from_the_others_is_named(data_refused):
    cells = [3e38, 3e38 + 1e27, 3e38 + 2e27, 3e38 + 3e27, -3e38]
    with data_refused(
        r"row 4 .from 0. of the table must hold a finite number within float32 in column 'n'; got -3e\+38"
    ):
        Columns.fitted(Table((number("n", cells),)))


def test_a_gap_that_training_had_not_is_the_median():
    columns = Columns.fitted(Table((number("n", [1, 2, 10]), flag("f", [1, 1, 0]))))
    assert columns.encode(Table((number("n", [None]), flag("f", [None])))).tolist() == [[2, 1]]
    half = Columns.fitted(Table((flag("f", [1, 0, None]),)))
    assert half.codes[0].fill == 0  # no half is made of true and false


# --- what is asked for ----------------------------------------------------------------------------


def test_drop_keep_and_as_category():
    columns = Columns.fitted(PEOPLE, label="class", drop="since", as_category=("zip",))
    assert columns.names == (
        "age", "age=(missing)", "city=Oslo", "city=Rome", "city=(rare)", "city=(missing)", "member",
        "member=(missing)", "zip=101", "zip=202", "zip=303",
    )  # fmt: skip
    assert columns.told == (
        "left out (no cell is filled): 'nothing'",
        "left out (the same in every row): 'same'",
        "left out (texts nearly all different): 'id'",
        "left out (as asked): 'since'",
        "categories (inputs): 'city' (4), 'zip' (3)",
        "missing cells filled with the median, and flagged by an input: 'age' (45), 'member' (true)",
    )
    assert repr(columns) == "<Columns: 8 make 11 inputs>"
    assert re.search(r"^  age +number +2  a number, gaps are 45 and flagged", str(columns), re.M)
    assert columns.codes[1].told == "2 categories, 1 rare one together, missing as one more"
    assert Columns.fitted(PEOPLE, label="class", keep=["since"]).told[-1] == "times, in days: 'since'"
    assert columns.left_out(PEOPLE) == ("since", "id", "same", "nothing", "class")
    kept = Columns.fitted(PEOPLE, label="class", keep=["age", "class", "zip"])
    assert kept.names == ("age", "age=(missing)", "zip")
    assert {code.name: code.dropped for code in kept.codes}["id"] == "asked"
    assert kept.encode(PEOPLE).shape == kept.encode(PEOPLE.without(["city", "class"])).shape == (8, 3)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"drop": ["agee"]}, r"drop must name columns of people\.csv; got 'agee'\. Did you mean 'age'\?"),
        ({"keep": ["Zip "]}, r"keep .* Did you mean 'zip'\?"),
        ({"as_category": "qqqq"}, r"as_category .* Its columns are 'age', 'city'"),
        ({"drop": ["age"], "keep": ["age"]}, r"must be in drop or in keep, not in both; got 'age'"),
        ({"drop": ["age"], "as_category": ["age"]}, r"in drop or in as_category, not in both; got 'age'"),
        ({"keep": ["age"], "as_category": ["zip"]}, r"in as_category must be in keep too, .* got 'zip'"),
        ({"drop": ["class"]}, r"drop must name columns beside the label; got 'class'"),
        ({"as_category": ["class"]}, r"as_category must name columns beside the label"),
        ({"drop": [3]}, r"drop must be a list of names of columns; got \[3\]"),
        ({"keep": None}, r"keep must be a list of names"),
    ],
)
def test_what_cannot_be_asked_for(asked, match):
    with pytest.raises(ConfigError, match=match):
        Columns.fitted(PEOPLE, label="class", **asked)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_odd_values_are_no_names(value):
    for option in ("drop", "keep", "as_category"):
        columns = said_in_a_line(Columns.fitted, PEOPLE, label="class", **{option: value})
        if columns is not None:
            assert len(value) == 0  # nothing asked for
            assert columns == Columns.fitted(PEOPLE, label="class")


def test_no_column_left(data_refused):
    table = PEOPLE.without(["age", "city", "member", "zip"])
    with data_refused(
        r"people\.csv must have a column to learn from beside the label; got 'since' left out \(as asked\); "
        r"'id' .* 'same' left out \(the same in every row\); 'nothing' .*filled.* as_category"
    ):
        Columns.fitted(table, label="class", drop=["since"])
    with data_refused("the label alone"):
        Columns.fitted(Table((text("y", ["a", "b"]),)), label="y")
    with pytest.raises(DataError, match="must have a row to train on"):
        Columns.fitted(PEOPLE[:0])


def test_missing_and_unknown_columns_are_named(data_refused):
    columns = Columns.fitted(PEOPLE, label="class")
    with data_refused(r"the columns of training; got no 'age', 'zip'\. Add them"):
        columns.encode(PEOPLE.without(["age", "zip"]))
    renamed = replace(PEOPLE, columns=(number("Age", range(8)), *PEOPLE.columns[1:]))
    with data_refused(r"got no 'age', but 'Age'\. Rename those"):
        columns.encode(renamed)
    more = replace(PEOPLE, columns=(*PEOPLE.columns, number("x,\n1", range(8))))
    with data_refused(
        r"people\.csv must have no columns that training lacked; got 'x,\\n1'\. Leave them out"
    ):
        columns.encode(more)


def test_a_number_beyond_float32_is_named_by_its_row_wherever_it_stands():
    """Rows are written a block at a time."""
    values = np.arange(70_000.0)
    table = Table((Column("n", "number", values), Column("m", "number", values)))
    columns = Columns.fitted(table)
    values = values.copy()
    values[69_999] = 1e39
    with pytest.raises(
        DataError, match=r"row 69999 .from 0. of the table must hold a finite number within float32"
    ):
        columns.encode(Table((Column("m", "number", values), Column("n", "number", values))))


def test_encoding_takes_little_beside_the_inputs():
    table = Table(tuple(Column(f"c{j}", "number", np.arange(200_000.0) + j) for j in range(20)))
    columns = Columns.fitted(table)
    tracemalloc.start()
    try:
        X = columns.encode(table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * X.nbytes
