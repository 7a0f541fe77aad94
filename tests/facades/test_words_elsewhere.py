"""What docs/words.md calls PyTorch's, Keras' and scikit-learn's words are names that these have."""

from __future__ import annotations

import importlib
import re

import pytest
from pages import text

HEADS = {"torch": "PyTorch", "keras": "Keras", "sklearn": "scikit-learn"}
SKLEARN = {
    "MLPClassifier": "neural_network",
    "MLPRegressor": "neural_network",
    "TransformedTargetRegressor": "compose",
}  # others: preprocessing
DOTTED = (
    r"`((?:nn|optim|utils|layers|regularizers|constraints|losses|optimizers|initializers|callbacks)\.[\w.]+)"
)


def names(library):
    """What stands in that library's columns."""
    found, column = set(), None
    pattern = r"`([A-Z]\w+)" if library == "sklearn" else DOTTED
    for line in text("docs/words.md").splitlines():
        cells = line.split(" | ")
        if line.startswith("| fastmlp") or line.startswith("| word"):
            heads = [cell.strip("| ") for cell in cells]
            column = heads.index(HEADS[library]) if HEADS[library] in heads else None
        elif line.startswith("| `") and column is not None:
            found.update(re.findall(pattern, cells[column]))
    return sorted(found)


@pytest.mark.parametrize("library", ["torch", pytest.param("keras", marks=pytest.mark.slow), "sklearn"])
def test_names_of_other_libraries_are_theirs(library):
    there = pytest.importorskip(library)
    found = names(library)
    assert len(found) > {"torch": 40, "keras": 30, "sklearn": 3}[library]
    missing = []
    for name in found:
        if library == "sklearn":
            name = f"{SKLEARN.get(name, 'preprocessing')}.{name}"
        if not is_there(there, name):
            missing.append(name)
    assert not missing


def is_there(module, name):
    """Whether a dotted name leads from a module to something, through modules that it may have to load."""
    for part in name.split("."):
        try:
            module = getattr(module, part)
        except AttributeError:
            try:
                module = importlib.import_module(f"{module.__name__}.{part}")
            except ImportError:
                return False
    return True


def test_a_name_that_is_not_there_goes_red():
    assert is_there(importlib, "util.find_spec")
    assert not is_there(importlib, "util.find_specs")
    assert not is_there(importlib, "utils")
