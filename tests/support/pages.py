"""README.md, CONTRIBUTING.md and docs/: their words, and the programs and commands in them."""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from cli_runs import run

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "fastmlp" / "kernels"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("[RC]*.md"), *(ROOT / "docs").rglob("*.md"), KERNELS / "README.md")
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_MINUTES = {"study", "bench"}  # what these take: they have tests of their own


@dataclass(frozen=True)
class Block:
    """A block of code. shows: what stands below it as its output, where something does."""

    language: str
    code: str
    shows: str


def module_at(path: str) -> ModuleType:
    """A module that lies in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(page: str) -> str:
    """A page as it is written."""
    return (ROOT / page).read_text(encoding="utf-8")


def words(page: str) -> str:
    """A page's words, a space between two."""
    return " ".join(text(page).split())


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, all if none is named."""
    found = [Block(*groups) for groups in _BLOCK.findall(text(page))]
    return [block for block in found if not languages or block.language in languages]


def commands(code: str) -> list[tuple[list[str], str]]:
    """The words after ``fastmlp`` of each command in shell's code, and the output that stands below it."""
    found = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?fastmlp (.*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE)
    if "$ " not in code:
        found = [(line, "") for line in re.findall(r"^fastmlp (.*)$", code, re.MULTILINE)]
    return [(shlex.split(os.path.expandvars(line)), shown) for line, shown in found]


def unlike(wanted: str, got: str) -> str:
    """How an output is not what the page shows, where ``...`` stands for anything; "" if it is."""
    checker = doctest.OutputChecker()
    if checker.check_output(wanted, got, _FLAGS):
        return ""
    return checker.output_difference(doctest.Example("", wanted), got, _FLAGS)


def execute(block: Block, names: dict[str, Any]) -> None:
    """Run a block of Python or of a shell, as a reader would, and compare what it prints."""
    if block.language == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(block.code.replace("n_jobs=2", "n_jobs=1"), names)  # workers would outlive the test
        assert not block.shows or not (wrong := unlike(block.shows, out.getvalue())), wrong
        return
    for args, shown in commands(block.code):
        if args[0] in _MINUTES:
            continue
        if args[0] == "diagnose" and "--seconds" not in args:
            args += ["--seconds", "600"]  # so that a busy machine cuts nothing short
        result = run(*args)
        assert result.exit_code in ((0, 1) if args[0] == "diagnose" else (0,)), result.output
        assert not shown or not (wrong := unlike(shown, result.output)), wrong
