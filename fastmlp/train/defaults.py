"""Defaults that hang on the data: an ``auto`` scale, and the steps of a training given by its fields.

Pixels have those of the question that started this project. Tables have Adam on standardised inputs, and stop
early where rows are many enough that some can be spared to judge by. Whatever is given wins.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from fastmlp.checks import as_float, as_text, instance
from fastmlp.data.dataset import Dataset
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.errors import ConfigError
from fastmlp.spec import Training
from fastmlp.words.losses import checked_loss
from fastmlp.words.optimizers import OPTIMIZERS, USUAL_LR, Optimizer
from fastmlp.words.scales import AUTO
from fastmlp.words.schedules import Schedule

PIXELS = 255.0  # what they are divided by

BATCH = 200  # rows in a step; fewer rows are one step
EPOCHS = 200
MANY = 1000  # rows over which a tenth says when to stop; of fewer it would say little, and be missed
SHARE, PATIENCE = 0.1, 20  # rows held out; epochs: after 10, noise ended some long before their best
MOST_EPOCHS = 1000  # where the rows held out say when to stop

_LOSSES = {"numbers": "squared", "flags": "binary"}  # by targets, where none is asked for


def loss_of(training: Training | None, fields: dict[str, Any]) -> str | None:
    """Return the loss that is asked for; None where the targets decide. Raises ConfigError."""
    given = None if training is None else instance("training", training, Training).loss
    loss = fields.get("loss", given)
    return None if loss is None else checked_loss(loss)


def chosen(data: Dataset, training: Training | None, fields: dict[str, Any]) -> tuple[Training, str]:
    """Return the training that is asked for on these data, and a line on what they decided, or "".

    A Training given whole is taken as it is, with the fields changed and its scale settled; of fields alone
    see ``training_for``. Raises ConfigError, and TypeError for what is no field.
    """
    if training is None:
        return training_for(data, fields)
    asked = instance("training", training, Training).but(**fields)
    found = settled(asked, data)
    return found, "" if found is asked else _line([_scaled(found)])


def training_for(data: Dataset, fields: dict[str, Any]) -> tuple[Training, str]:
    """Return the training of these fields on these data, and a line on what the data decided, or "".

    data: encoded or not. Pixels (uint8) have the defaults of ``Training``. Others: Adam with lr 0.001, 200
    rows in a batch, 200 epochs. Over 1,000 rows a tenth is held out, the training stops when 20 epochs have
    not lowered the loss on it, after 1,000 in any case, and the best weights are kept.

    Each field given wins. An ``optimizer`` alone has its own lr, and momentum alone is sgd's; epochs alone
    are that many, on all rows; ``patience`` alone holds a tenth out; ``validation`` alone stops early by that
    share. A schedule that goes by the number of epochs has them all. Raises as ``Training.of`` does.
    """
    steps: dict[str, Any] = {} if is_pixels(data) else steps_of(len(data.y), fields)
    if fields.get("loss") is None:
        fields = {**fields, "loss": _LOSSES.get(data.targets, Training.loss)}
    asked = Training.of(**{**steps, **fields})
    found = settled(asked, data)
    told = [] if found is asked else [_scaled(found)]
    return found, _line(told + _told(found, steps.keys() - fields.keys()))


def settled(training: Training, data: Dataset) -> Training:
    """The same with what ``auto`` scales by on these data: 255 for pixels, else ``standard``.

    Sparse rows are not centred unless that is asked: their zeros are what they have most of.
    """
    if training.scale != AUTO:
        return training
    if is_pixels(data):
        return training.but(scale=PIXELS)
    center = False if training.center is None and is_scipy_sparse(data.X) else training.center
    return training.but(scale="standard", center=center)


def is_pixels(data: Dataset) -> bool:
    """True for rows of bytes: images, and arrays that were given as uint8."""
    if getattr(data.X, "dtype", None) != np.uint8:  # a Table has no type
        return False
    return data.image_shape is not None or not data.narrowed


def steps_of(n: int, given: dict[str, Any]) -> dict[str, Any]:
    """The defaults of n rows of a table, beside the fields given."""
    rule = given.get("optimizer", "sgd" if given.keys() & OPTIMIZERS["sgd"].words.keys() else "adam")
    name = rule.name if isinstance(rule, Optimizer) else as_text(rule) or ""
    schedule = Schedule.of("constant")
    with suppress(ConfigError):  # which the field raises
        schedule = Schedule.of(given.get("schedule", "constant"))
    steps: dict[str, Any] = {
        "optimizer": rule, "lr": USUAL_LR.get(name, Training.lr), "batch_size": min(BATCH, n),
        "epochs": EPOCHS,
    }  # fmt: skip
    if "patience" in given:
        early = as_float(given["patience"]) != 0
    elif "epochs" in given or schedule.needs_total:
        early = False
    else:
        early = as_float(given["validation"]) != 0 if "validation" in given else n > MANY
    if early:
        steps |= {"validation": SHARE, "patience": PATIENCE, "epochs": MOST_EPOCHS}
    elif schedule.name == "plateau":
        steps["validation"] = SHARE
    return steps


def _told(training: Training, by_data: set[str]) -> list[str]:
    """Words for the steps that the data decided."""
    name, rate = training.optimizer.name, f"lr {training.lr:g}"
    told = [word for word, field in ((name, "optimizer"), (rate, "lr")) if field in by_data]
    told = [" with ".join(told)] * bool(told)
    if "batch_size" in by_data:
        told.append(f"batch {training.batch_size}")
    held = f"{training.validation:g} of the rows held out" if training.validation else ""
    if "epochs" in by_data:
        most = "at most " if training.patience else ""
        told.append(f"{most}{training.epochs} epoch{'s' * (training.epochs > 1)}")
    if by_data & {"patience", "validation"}:
        told.append(f"stopped early by {held}" if training.patience else held)
    return told


def _scaled(training: Training) -> str:
    """Words for a settled scale."""
    if training.scale == PIXELS:
        return "inputs divided by 255"
    return "inputs standardised" if training.centred else "inputs divided by their standard deviations"


def _line(told: list[str]) -> str:
    return f"by default for these data: {', '.join(told)}" if told else ""
