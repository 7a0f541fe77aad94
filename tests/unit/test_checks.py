"""checks.py: what fits comes out as plain Python, everything else is one ConfigError of one line."""

from __future__ import annotations

import enum
import math
import random
import tracemalloc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from nasty import VALUES, Raises, Text

from fastmlp import checks
from fastmlp.checks import as_array, as_dtype
from fastmlp.errors import ConfigError, DataError, ModelError


class Word(str, enum.Enum):  # noqa: UP042 (StrEnum has another str())
    RELU = "relu"


class Two(int):
    def __index__(self):
        return 7

    def __lt__(self, other):
        raise KeyError


REAL = {
    1: 1.0, 2.5: 2.5, Fraction(1, 4): 0.25, Decimal("1.5"): 1.5, np.float32(0.5): 0.5, np.int8(3): 3.0,
    np.float16(2): 2.0, np.uint64(2**63): 2.0**63,
}  # fmt: skip
NO_REAL = [
    True, np.True_, 10**400, "1", b"1", bytearray(b"1.5"), memoryview(b"1.5"), np.str_("1.5"),
    np.array("1.5"),
    np.array([1.5]), np.array(True), np.datetime64("2020"), np.timedelta64(5, "s"), 1j, np.complex64(1),
    Decimal("NaN"), Decimal("sNaN"), Raises(), Text("1"), None, [], {}, object(), len,
]  # fmt: skip


@pytest.mark.parametrize("value", REAL)
def test_real_numbers(value):
    found = checks.as_float(value)
    assert found == REAL[value]
    assert type(found) is float


def test_an_array_of_no_axes_is_a_number_and_others_are_none():
    assert checks.as_float(np.array(1.5)) == 1.5
    assert checks.as_whole(np.array(3)) == 3
    assert checks.as_whole(np.array([3])) is None
    assert checks.as_whole(np.array(3.0)) is None


@pytest.mark.parametrize("value", NO_REAL, ids=lambda value: type(value).__name__)
def test_no_real_number(value):
    assert math.isnan(checks.as_float(value))


def test_whole_numbers():
    for value in (3, np.int64(3), np.uint8(3), np.array(3)):
        assert type(checks.as_whole(value)) is int
        assert checks.as_whole(value) == 3
    assert type(checks.as_whole(Two(2))) is int
    assert checks.as_whole(10**5000) == 10**5000
    for value in (True, np.True_, 3.0, "3", b"3", None, Fraction(3), Decimal(3), np.float32(3), Raises()):
        assert checks.as_whole(value) is None


def test_texts_and_lists():
    assert checks.as_text(Text("sgd")) == "sgd"
    assert type(checks.as_text(Text("sgd"))) is str
    assert checks.as_text(Word.RELU) == "relu"
    assert checks.as_text(np.str_("a")) == "a"
    assert checks.as_text(b"a") is None
    assert checks.as_list((1, 2)) == checks.as_list(range(1, 3)) == checks.as_list(np.array([1, 2])) == [1, 2]
    for value in ("12", b"12", {1}, {1: 2}, iter([1]), np.array(1), np.ones((2, 2)), None, Raises()):
        assert checks.as_list(value) is None


def test_flags():
    for value in (True, 1, np.True_, np.int8(1)):
        assert checks.flag("x", value) is True
    for value in (False, 0, np.False_):
        assert checks.flag("x", value) is False
    for value in ("no", "", None, 2, 1.0, [], [1], np.array([True]), Raises()):
        with pytest.raises(ConfigError, match="x must be True or False"):
            checks.flag("x", value)


CHECKS = {
    "whole_number": lambda v: checks.whole_number("x", v, 1, 10),
    "positive_number": lambda v: checks.positive_number("x", v, "1"),
    "share": lambda v: checks.share("x", v, "0.5"),
    "not_negative": lambda v: checks.not_negative("x", v, "0"),
    "one_of": lambda v: checks.one_of("x", v, ("relu", "tanh")),
    "flag": lambda v: checks.flag("x", v),
    "function": lambda v: checks.function("x", v),
    "functions": lambda v: checks.functions("x", v),
    "instance": lambda v: checks.instance("x", v, ValueError),
}


def refusal(call, error=ConfigError):
    """What it says; nothing where it does not refuse."""
    try:
        call()
    except error as found:
        return str(found)
    return ""


@pytest.mark.parametrize("check", CHECKS)
def test_everything_else_is_a_config_error_of_one_line(check):
    messages = [refusal(lambda value=value: CHECKS[check](value)) for value in VALUES.values()]
    refused = [message for message in messages if message]
    assert len(refused) > 20
    for message in refused:
        assert message.startswith("x must be ")
        assert "\n" not in message
        assert len(message) < 320


def test_bounds_are_those_that_are_said():
    assert checks.whole_number("x", 1, 1, 10) == 1
    assert checks.whole_number("x", np.int64(10), 1, 10) == 10
    for value in (0, 11, 10**400, -(10**400)):
        with pytest.raises(ConfigError, match="from 1 to 10"):
            checks.whole_number("x", value, 1, 10)
    assert checks.share("x", 0.0, "") == 0
    assert checks.not_negative("x", -0.0, "") == 0
    for check, value in [(checks.share, 1), (checks.not_negative, 1e-31), (checks.positive_number, 1e31)]:
        with pytest.raises(ConfigError, match="must be"):
            check("x", value, "0.5")


@pytest.mark.parametrize("name", VALUES)
def test_any_value_is_shown_on_one_short_line(name):
    text = checks.shown(VALUES[name])
    assert 0 < len(text) <= 160
    assert "\n" not in text
    text.encode()  # a lone surrogate is written as its escape


def test_what_is_shown():
    assert checks.shown([1, "a\nb"]) == r"[1, 'a\nb']"
    assert checks.shown(10**5000) == "an integer of 16,610 bits"
    assert checks.shown(Raises()) == "a Raises that cannot be shown"
    assert checks.shown([10**5000]) == "a list that cannot be shown"
    assert checks.shown("x" * 1000).endswith("xxx ...")


def test_a_large_value_is_shown_in_little_memory():
    values = ["x" * 10**7, [0] * 10**6, [[0] * 10**6] * 10**6, {n: n for n in range(10**5)}]
    tracemalloc.start()
    try:
        for value in values:
            assert "..." in checks.shown(value)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_numbers_drawn_by_a_seed_are_judged_as_python_compares_them():
    rng = random.Random(4)
    for _ in range(500):
        value = rng.choice([rng.randint(-(2**53), 2**53), rng.uniform(-2, 2), 10.0 ** rng.uniform(-40, 40)])
        try:
            assert checks.positive_number("x", value, "1") == value
            right = True
        except ConfigError:
            right = False
        assert right == (1e-30 <= value <= 1e30)


@pytest.mark.parametrize("name", VALUES)
def test_arrays_are_numbers_or_the_error_that_is_named(name):
    for kinds in ("buif", "iu", "f"):
        assert (
            len(refusal(lambda kinds=kinds: as_array("x", VALUES[name], kinds, ModelError), ModelError)) < 320
        )
    assert len(refusal(lambda: as_dtype("x", VALUES[name]))) < 320


def test_an_array_is_taken_as_it_is():
    X = np.ones((2, 3), np.float32)
    assert as_array("X", X) is X
    with pytest.raises(DataError, match="inhomogeneous"):
        as_array("X", [[1], [1, 2]])
    with pytest.raises(DataError, match="X must hold numbers; got shape \\(1,\\), dtype object"):
        as_array("X", [10**400])
