"""``fastmlp info``: facts for a bug report."""

from __future__ import annotations

from typing import Any

from .options import Json
from .streams import echo


def info(json: Json = False) -> None:
    """Show versions, processor, threads and caches, ready to paste into a bug report."""
    from fastmlp import environment
    from fastmlp.data import status
    from fastmlp.runs import strict_json

    facts = environment.describe() | environment.describe_compiler()
    facts["threading_layers"] = environment.threading_layers()
    there = status()
    facts |= {"data_auto": there["auto"], "data_cache": there["cache"], "data_complete": there["complete"]}
    if json:
        echo(strict_json(facts))
        return
    for name, value in facts.items():
        echo(f"{name.replace('_', ' '):<18}{_text(value)}".rstrip())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
