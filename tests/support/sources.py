"""The sources of the package, by path, and Python processes that import it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {
    **{f"fastmlp/{p.relative_to(ROOT / 'fastmlp')}": p for p in (ROOT / "fastmlp").rglob("*.py")},
    **{f"cli/{p.relative_to(ROOT / 'cli')}": p for p in (ROOT / "cli").rglob("*.py")},
}


@cache
def tree_of(source: str) -> ast.Module:
    """The syntax tree of a source, parsed once for all tests that look at it."""
    return ast.parse(source)


def module_of(path: str) -> str:
    """fastmlp/kernels/layout.py -> fastmlp.kernels.layout."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"fastmlp_{name}" if name.split(".")[0] == "cli" else name


MODULES = {module_of(path) for path in SOURCES}


def python(script: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -c SCRIPT``, with more in its environment."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip
