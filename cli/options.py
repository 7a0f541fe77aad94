"""Options that several commands share, and how wrong values of several options become one error.

Imported for ``--help``: nothing heavy may be loaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from fastmlp.errors import ConfigError
from fastmlp.losses import clip_bounds
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.spec import ACTIVATIONS, BACKENDS, DRIVERS, INITS, Training

from .failures import AccuracyError

NET, TRAINING, DATA = "The net", "The training", "Data"
STEPS = "The steps"
SPEED, OUTPUT = "Speed (never changes the result)", "Output"
DEFAULT = Training()
HIDDEN = ",".join(map(str, DEFAULT.hidden))  # as the options have them
ACT = str(DEFAULT.act)


def completes(*choices: str) -> Callable[[str], list[str]]:
    """Shell completion from a fixed list."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


Act = Annotated[
    str,
    typer.Option(
        metavar="|".join(ACTIVATIONS),
        help="Activation of the hidden layers.",
        autocompletion=completes(*ACTIVATIONS),
        rich_help_panel=NET,
    ),
]
Hidden = Annotated[
    str,
    typer.Option(
        metavar="WIDTHS", help="Hidden layers: 100, or 128,64 for two, or none.", rich_help_panel=NET
    ),
]
Scale = Annotated[
    float, typer.Option(help="Divide the inputs by this: 255 for pixels, 1 for none.", rich_help_panel=NET)
]
Center = Annotated[
    bool,
    typer.Option("--center", help="Subtract each input's training mean before that.", rich_help_panel=NET),
]
Init = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"First weights: {', '.join(INITS)}.",
        autocompletion=completes(*INITS),
        rich_help_panel=NET,
    ),
]
LearningRate = Annotated[float, typer.Option("--lr", help="Learning rate.", rich_help_panel=TRAINING)]
BatchSize = Annotated[int, typer.Option(help="Images a step.", rich_help_panel=TRAINING)]
Epochs = Annotated[int, typer.Option(help="Passes over the data.", rich_help_panel=TRAINING)]
Seed = Annotated[
    int,
    typer.Option(
        help="Of the first weights, the order, and data held out or drawn.", rich_help_panel=TRAINING
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Cross-entropy: logits (the default), keras2, or clip:LO,HI.",
        show_default=False,
        autocompletion=completes("logits", "keras2", "clip:"),
        rich_help_panel=TRAINING,
    ),
]
Clip = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Short for --loss clip:LO,HI.", rich_help_panel=TRAINING),
]
Optimizer = Annotated[
    str,
    typer.Option(
        "--optimizer",
        "--optimiser",
        metavar="|".join(OPTIMIZERS),
        help="How a gradient becomes a step.",
        autocompletion=completes(*OPTIMIZERS),
        rich_help_panel=STEPS,
    ),
]
Momentum = Annotated[float, typer.Option(help="Of sgd, for example 0.9.", rich_help_panel=STEPS)]
Nesterov = Annotated[
    bool, typer.Option("--nesterov", help="Look ahead along the momentum.", rich_help_panel=STEPS)
]
Beta1 = Annotated[float, typer.Option("--beta1", help="Of adam: the mean's memory.", rich_help_panel=STEPS)]
Beta2 = Annotated[float, typer.Option("--beta2", help="Of adam: the square's memory.", rich_help_panel=STEPS)]
Epsilon = Annotated[float, typer.Option(help="Of adam: added to the root.", rich_help_panel=STEPS)]
WeightDecay = Annotated[
    float, typer.Option(help="L2: that times every parameter joins its gradient.", rich_help_panel=STEPS)
]
Schedule = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Learning rate by epoch: constant, cosine, or step:EVERY,FACTOR.",
        autocompletion=completes("constant", "cosine", "step:"),
        rich_help_panel=STEPS,
    ),
]
Validation = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Hold out that share of the training rows.", rich_help_panel=STEPS),
]
Patience = Annotated[
    int,
    typer.Option(
        metavar="EPOCHS",
        help="Stop after so many without a lower validation loss, and keep the best; 0: never.",
        rich_help_panel=STEPS,
    ),
]
ClassWeight = Annotated[
    str | None,
    typer.Option(
        metavar="W,W,...|balanced",
        help="How much each class counts, in their order.",
        show_default=False,
        rich_help_panel=STEPS,
    ),
]
SampleWeight = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.npy",
        help="How much each training row counts: that many numbers.",
        show_default=False,
        rich_help_panel=STEPS,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        help="auto, mnist, synthetic, or a path: IDX files or their folder, .npz, .npy, .csv.",
        autocompletion=completes("auto", "mnist", "synthetic"),
        rich_help_panel=DATA,
    ),
]
TestData = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Test on this file or folder; else on the data's test part, or on a sixth held out.",
        rich_help_panel=DATA,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|INDEX",
        help="Label column of a CSV. Default: the column 'label', else the first.",
        rich_help_panel=DATA,
    ),
]
Threads = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Threads; auto is one a core, or fewer where those are faster.",
        rich_help_panel=SPEED,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="|".join(BACKENDS),
        help="Compiled kernels, or the readable reference.",
        autocompletion=completes(*BACKENDS),
        rich_help_panel=SPEED,
    ),
]
Driver = Annotated[
    str,
    typer.Option(
        metavar="|".join(DRIVERS),
        help="Threads of fastmlp's own, or Numba's parallel loops.",
        autocompletion=completes(*DRIVERS),
        rich_help_panel=SPEED,
    ),
]
CheckpointSeconds = Annotated[
    float,
    typer.Option(
        help="Between two checkpoints within an epoch; beside them, at most one a second after epochs.",
        rich_help_panel=OUTPUT,
    ),
]
MinAccuracy = Annotated[
    float | None,
    typer.Option(metavar="A", help="Exit with 5 if the test accuracy is under A.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUTPUT)
]
ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, or its model.safetensors.")]


def checked(*checks: Callable[[], Any]) -> list[Any]:
    """What the checks return; one ConfigError with everything that any of them found wrong."""
    results, problems = [], []
    for check in checks:
        try:
            results.append(check())
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)
    return results


def training_of(
    *,
    hidden: str,
    loss: str | None,
    clip: tuple[float, float] | None,
    class_weight: str | None = None,
    **fields: Any,
) -> Callable[[], Training]:
    """A check that returns the Training of these options."""

    def make() -> Training:
        if loss is not None and clip is not None and clip_bounds(loss) != clip:
            raise ConfigError(
                "loss must be left out beside clip, which stands for --loss clip:LO,HI",
                f"--loss {loss} --clip {clip[0]:g} {clip[1]:g}",
                "give one of the two",
            )
        name = loss or DEFAULT.loss if clip is None else f"clip:{clip[0]!r},{clip[1]!r}"
        return Training.of(hidden=hidden, loss=name, class_weight=class_weight, **fields)

    return make


def checked_share(name: str, value: float | None) -> None:
    """Raises ConfigError unless it is None or 0..1."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a number from 0 to 1", repr(value), "for example 0.9")


def demand(accuracy: float, least: float | None) -> None:
    """Raises AccuracyError where an accuracy is under what ``--min-accuracy`` asks for."""
    if least is not None and not accuracy >= least:
        raise AccuracyError(f"the test accuracy must be at least {least:g}", f"{accuracy:.4f}")
