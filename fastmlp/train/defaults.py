"""Defaults that depend on the data: an ``auto`` scale, and the steps of a training given by its fields.

Pixels have those of the question that started this project. Tables have Adam on standardised inputs, and stop
early where rows are many enough that some can be spared to judge by. Whatever is given wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.checks import instance, shown
from fastmlp.data.dataset import Dataset
from fastmlp.data.sparse import is_scipy_sparse
from fastmlp.display import listed
from fastmlp.errors import ConfigError
from fastmlp.spec import Training
from fastmlp.train.steps import BY_DATA, steps_of
from fastmlp.words.losses import checked_loss
from fastmlp.words.scales import AUTO

PIXELS = 255.0  # what they are divided by

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
    fields = {name: value for name, value in fields.items() if not (value is None and name in BY_DATA)}
    if isinstance(weights := fields.get("class_weight"), Mapping):
        fields["class_weight"] = _by_class(weights, data)
    if training is None:
        return training_for(data, fields)
    asked = instance("training", training, Training)
    asked = asked.but(**fields) if fields else asked
    found = settled(asked, data)
    return found, "" if found is asked else _line([_scaled(found)])


def training_for(data: Dataset, fields: dict[str, Any]) -> tuple[Training, str]:
    """Return the training of these fields on these data, and a line on what the data decided, or "".

    data: encoded or not. Pixels (uint8) have the defaults of ``Training``. Others: Adam with lr 0.001, 200
    rows in a batch, 200 epochs. Over 1,000 rows a tenth is held out, the training stops when 20 epochs have
    not lowered the loss on it, after 500 in any case, and the best weights are kept.

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


def _by_class(weights: Mapping[Any, Any], data: Dataset) -> tuple[Any, ...]:
    """The weight of each class, in their order, of weights by label; 1 of those that are not named."""
    strange = [label for label in weights if label not in data.classes]
    if strange:
        raise ConfigError(
            "class_weight must name labels of the data",
            shown(strange[0]),
            f"they are {listed(data.classes)}" if data.classes else "leave it out: there are no classes",
        )
    return tuple(weights.get(label, 1.0) for label in data.classes)


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
