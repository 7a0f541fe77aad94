"""The arguments of ``load`` as a run folder records them: JSON, the same from every folder. Reads no data."""

from __future__ import annotations

import os
from typing import Any

from fastmlp.checks import shown
from fastmlp.data.dataset import Dataset
from fastmlp.data.sources import ENVIRONMENT, WORDS
from fastmlp.errors import ConfigError
from fastmlp.files import path_of

USUAL: dict[str, Any] = {
    "data": None,
    "test_data": None,
    "label": None,
    "task": "auto",
    "drop": [],
    "keep": [],
    "as_category": [],
}
_NEEDED = ("data", "test_data", "label")  # runs from before there were tables have these alone


def recorded(dataset: Dataset, **given: Any) -> dict[str, Any]:
    """Arguments with which ``load`` gives ``dataset`` again, from any folder. Raises DataError."""
    found = {name: given.get(name) or usual for name, usual in USUAL.items()}
    data, test_data = found["data"], found["test_data"]
    if data == "auto":
        data = os.environ.get(ENVIRONMENT) or dataset.name
    if data not in WORDS:
        data = absolute(data)
    return found | {"data": data, "test_data": test_data and absolute(test_data)}


def read(arguments: Any) -> dict[str, Any]:
    """The same, from JSON. Raises ConfigError where they are not what ``recorded`` gives."""
    if not isinstance(arguments, dict) or not all(name in arguments for name in _NEEDED):
        raise ConfigError(f"arguments must have {', '.join(_NEEDED)}", shown(arguments))
    found = {name: arguments.get(name, usual) for name, usual in USUAL.items()}
    for name, value in found.items():
        if isinstance(USUAL[name], list):
            right = isinstance(value, list) and all(isinstance(text, str) for text in value)
        else:
            right = value is None or isinstance(value, str)
        if not right:
            raise ConfigError(f"the argument {name} must be text", shown(value))
    return found


def absolute(path: str) -> str:
    """The path of data, the same from every folder. Raises DataError."""
    return str(path_of("data", path).absolute())
