"""assemble: from the parts of a file to a Dataset; where it has no test part, a seeded sixth is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastmlp.data.checks import features, image_shape
from fastmlp.data.dataset import Choice, Dataset
from fastmlp.data.parts import Part, Parts
from fastmlp.data.split import held_out
from fastmlp.errors import DataError


def assemble(
    name: str,
    source: str,
    parts: Parts,
    seed: int,
    test_source: str | None = None,
    loss: str | None = None,
    task: str = "auto",
    choice: Choice | None = None,
    *,
    hold_out: bool = True,
) -> Dataset:
    """The Dataset of ``parts`` for that loss or task. test_source: where the test part came from, if not
    ``source``. hold_out False: without a test part all rows are to train on.

    DataError where the parts do not fit each other or training: see ``features``, ``held_out``, targets.py.
    """
    if parts.train is None:
        raise DataError(f"{source} must hold a training part", "a test part alone", "give it as test data")
    train, test = _checked(parts.train), None if parts.test is None else _checked(parts.test)
    if test is not None and train.table is None and test.table is None and train.X.dtype != test.X.dtype:
        train, test = (replace(part, X=part.X.astype(np.float32)) for part in (train, test))
    told = f" ({', '.join(train.read)})" if train.read else ""
    shape = None if train.table is not None else image_shape(parts.train.X, train.X)
    data = Dataset.made(name, source + told, train, test, loss, task, choice, shape)
    if train.table is None:
        narrowed = train.X.dtype == np.uint8 and parts.train.X.dtype != np.uint8
        data = replace(data, narrowed=narrowed)
    if test is not None:
        how = f"test part from {test_source}" if test_source else "with its own test part"
        how += f" ({', '.join(test.read)})" if test_source and test.read else ""
        return replace(data, source=f"{data.source}, {how}")
    if not hold_out:
        return data
    n = len(data.y)
    held = held_out(n, data.y if data.targets == "labels" else None, seed, train.where)
    how = f"a sixth held out for testing ({len(held):,} row{'s' * (len(held) != 1)}, seed {seed})"
    return data.part(np.delete(np.arange(n), held), held, how)


def _checked(part: Part) -> Part:
    return part if part.table is not None else replace(part, X=features(part.X, part.where))
