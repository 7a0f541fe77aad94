"""Every error that fastmlp raises on purpose, and the one shape its message has.

A message says what must be what, what was got, and what to do: ``must; got GOT. DO.``
Exit codes are not known here: the command line maps classes to codes (cli/failures.py).
"""

from __future__ import annotations

from collections.abc import Sequence

MOST = 2000  # characters of a message


def in_short(text: str) -> str:
    """The text, or the beginning and the end of one that is longer than MOST."""
    return text if len(text) <= MOST else f"{text[: MOST // 2]} ... {text[5 - MOST // 2 :]}"


class FastMLPError(Exception):
    """Base of the family. ``str(error)`` is one readable line of at most MOST characters.

    Parameters
    ----------
    must: what must be what ("lr must be a finite number over 0").
    got:  what was there instead ("nan"); left out when empty.
    do:   what to do about it ("use 0.01"); left out when empty.
    """

    def __init__(self, must: str, got: object = "", do: str = "") -> None:
        super().__init__(must, got, do)  # positional, so that the error survives pickling
        self.must, self.got, self.do = must, got, do

    def __str__(self) -> str:
        text = self.must
        if got := str(self.got):
            text += f"; got {got[:-1] if self.do and got[-1] == '.' != got[-2:-1] else got}"
        if self.do:
            text += f". {self.do[0].upper()}{self.do[1:]}"
        text = in_short(text if text.endswith((".", "?")) else text + ".")
        return text.replace("\r", "\\r").replace("\n", "\\n")  # a name may hold them: still one line


class ConfigError(FastMLPError, ValueError):
    """Option values that are out of range or do not go together."""

    @classmethod
    def collect(cls, problems: Sequence[ConfigError]) -> ConfigError:
        """One error that says everything the given ones say."""
        if len(problems) == 1:
            return problems[0]
        return ConfigErrors(*map(str, problems))


class ConfigErrors(ConfigError):
    """Several problems, one a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.args = problems  # so that it survives pickling

    def __str__(self) -> str:
        return self.must


class DataError(FastMLPError, ValueError):
    """Data that are absent, damaged, or not what training needs."""


class ModelError(FastMLPError, ValueError):
    """A model file that cannot be used, or inputs that do not fit the model."""


class RunFolderError(FastMLPError, OSError):
    """A run folder that cannot be written."""

    __str__ = FastMLPError.__str__


class DivergedError(FastMLPError, ArithmeticError):
    """A loss or a weight became non-finite.

    ``epoch`` and ``batch`` (both counted from 1) say where; ``finished`` has the totals of the epochs before,
    of the call that raised it. ``fit`` adds ``model`` (after the last good epoch) and ``history`` (the
    finished epochs).
    """

    epoch: int | None = None
    batch: int | None = None
    finished: Sequence[object] = ()
    model: object = None
    history: object = None
