"""Default steps of a table's training: fields of a Training, by the number of rows and the fields given.

Words alone, so that a command line can be checked before data are read. Whose they are: defaults.py.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastmlp.checks import as_float, as_text
from fastmlp.errors import ConfigError
from fastmlp.spec import Training
from fastmlp.words.optimizers import OPTIMIZERS, USUAL_LR, Optimizer
from fastmlp.words.schedules import Schedule

BATCH = 200  # rows in a step; fewer rows are one step
EPOCHS = 200
MANY = 1000  # rows over which a tenth says when to stop; of fewer it would say little, and be missed
SHARE, PATIENCE = 0.1, 20  # rows held out; epochs: after 10, noise ended some long before their best
MOST_EPOCHS = 500  # where the rows held out say when to stop

BY_DATA = ("optimizer", "lr", "batch_size", "epochs", "validation", "patience")  # which the data may decide


def steps_of(n: int, given: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults of n rows of a table, beside any fields that are given; see ``training_for``."""
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
