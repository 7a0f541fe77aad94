"""Every option that a Training is made of, or that several commands have: declared once, with its help.

A command takes a group of them, a TypedDict, as one parameter (command.py). Wrong values of several options
become one error. Imported for ``--help``: nothing heavy may be loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypedDict

import typer

from fastmlp.errors import ConfigError
from fastmlp.losses import clip_bounds
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.spec import ACTIVATIONS, BACKENDS, DRIVERS, INITS, Training

from .failures import AccuracyError

MODEL, TRAINING, LOSS, OPTIMIZER = "Model", "Training", "Loss", "Optimizer"
DATA, SPEED, RUN, OUTPUT = "Data", "Speed", "Run folder", "Output"
SOURCES = ("auto", "mnist", "synthetic")  # the words among the data's names; all else is a path

# of the options in groups; None for one that is not here
DEFAULTS: dict[str, Any] = {**Training().to_json(), "data": "auto", "backend": BACKENDS[0]}
DEFAULTS["hidden"] = ",".join(map(str, DEFAULTS["hidden"]))


def completes(*choices: str) -> Callable[[str], list[str]]:
    """Complete a word of the shell from a fixed list."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


Threads = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Number of threads, which never changes the result: auto uses one a core, or fewer where that "
        "is faster.",
        rich_help_panel=SPEED,
    ),
]
Driver = Annotated[
    str,
    typer.Option(
        metavar="|".join(DRIVERS),
        help="Run the threads as fastmlp's own team or by Numba's prange; the result is the same.",
        autocompletion=completes(*DRIVERS),
        rich_help_panel=SPEED,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="|".join(BACKENDS),
        help="Compute by compiled kernels, or by the readable NumPy reference; results agree up to rounding.",
        autocompletion=completes(*BACKENDS),
        rich_help_panel=SPEED,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        help="Data to train on: auto, mnist, synthetic, or a path to IDX files or their folder, .npz, .npy "
        "or .csv.",
        autocompletion=completes(*SOURCES),
        rich_help_panel=DATA,
    ),
]
TestData = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="File or folder to test on. Default: the data's own test part, or a sixth that is held out.",
        rich_help_panel=DATA,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|INDEX",
        help="Label column of a CSV file, by name or by index from 0. Default: the column 'label', else the "
        "first.",
        rich_help_panel=DATA,
    ),
]
MinAccuracy = Annotated[
    float | None,
    typer.Option(
        metavar="A", help="Exit with code 5 when the test accuracy is below A.", rich_help_panel=OUTPUT
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Show the result and no progress.", rich_help_panel=OUTPUT),
]
ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="Run folder, or a model.safetensors.")]


class PlainOptions(TypedDict, total=False):
    """What a Training by plain SGD is made of: the words of ``Training.of``, and clip."""

    act: Annotated[
        str,
        typer.Option(
            metavar="|".join(ACTIVATIONS),
            help="Activation of the hidden layers.",
            autocompletion=completes(*ACTIVATIONS),
            rich_help_panel=MODEL,
        ),
    ]
    hidden: Annotated[
        str,
        typer.Option(
            metavar="WIDTHS",
            help="Widths of the hidden layers: 100 for one, 128,64 for two, none for softmax regression.",
            rich_help_panel=MODEL,
        ),
    ]
    scale: Annotated[
        float,
        typer.Option(
            help="Divide the inputs by this number: 255 for pixels, 1 to leave them as they are.",
            rich_help_panel=MODEL,
        ),
    ]
    center: Annotated[
        bool,
        typer.Option(
            "--center", help="Subtract each input's training mean before dividing.", rich_help_panel=MODEL
        ),
    ]
    init: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Distribution of the first weights: {', '.join(INITS)}.",
            autocompletion=completes(*INITS),
            rich_help_panel=MODEL,
        ),
    ]
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.", rich_help_panel=TRAINING)]
    batch_size: Annotated[int, typer.Option(help="Training rows in each step.", rich_help_panel=TRAINING)]
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the first weights, the order of samples, and of what is held out.",
            rich_help_panel=TRAINING,
        ),
    ]
    loss: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Cross-entropy: logits, keras2, or clip:LO,HI.",
            autocompletion=completes("logits", "keras2", "clip:"),
            rich_help_panel=LOSS,
        ),
    ]
    clip: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LO HI", help="Short for --loss clip:LO,HI.", rich_help_panel=LOSS),
    ]
    lr: Annotated[
        float, typer.Option("--lr", help="Learning rate of the first epoch.", rich_help_panel=OPTIMIZER)
    ]


class TrainingOptions(PlainOptions, total=False):
    """All that a Training is made of."""

    schedule: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Learning rate over the epochs: constant, cosine, or step:EVERY,FACTOR.",
            autocompletion=completes("constant", "cosine", "step:"),
            rich_help_panel=OPTIMIZER,
        ),
    ]
    optimizer: Annotated[
        str,
        typer.Option(
            "--optimizer",
            "--optimiser",
            metavar="|".join(OPTIMIZERS),
            help="Rule by which a gradient becomes a step.",
            autocompletion=completes(*OPTIMIZERS),
            rich_help_panel=OPTIMIZER,
        ),
    ]
    momentum: Annotated[
        float, typer.Option(help="Momentum of sgd, for example 0.9.", rich_help_panel=OPTIMIZER)
    ]
    nesterov: Annotated[
        bool, typer.Option("--nesterov", help="Use Nesterov's momentum.", rich_help_panel=OPTIMIZER)
    ]
    beta1: Annotated[
        float,
        typer.Option("--beta1", help="Decay of adam's mean of the gradients.", rich_help_panel=OPTIMIZER),
    ]
    beta2: Annotated[
        float,
        typer.Option("--beta2", help="Decay of adam's mean of their squares.", rich_help_panel=OPTIMIZER),
    ]
    epsilon: Annotated[
        float,
        typer.Option(help="Number that adam adds to the root of that mean.", rich_help_panel=OPTIMIZER),
    ]
    weight_decay: Annotated[
        float,
        typer.Option(
            help="L2 penalty: this number times each parameter is added to its gradient.",
            rich_help_panel=OPTIMIZER,
        ),
    ]
    validation: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Hold out this share of the training rows, and evaluate on it after each epoch.",
            rich_help_panel=TRAINING,
        ),
    ]
    patience: Annotated[
        int,
        typer.Option(
            metavar="EPOCHS",
            help="Stop after this many epochs without a lower validation loss, and keep the best weights; "
            "0 never stops early.",
            rich_help_panel=TRAINING,
        ),
    ]
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="W,W,...|balanced", help="Weight of each class, in their order.", rich_help_panel=LOSS
        ),
    ]


class SourceOptions(TypedDict, total=False):
    """What ``data.load`` takes."""

    data: Data
    test_data: TestData
    label: Label


def checked(*checks: Callable[[], Any]) -> list[Any]:
    """Results of the checks; one ConfigError with everything that any of them found wrong."""
    results, problems = [], []
    for check in checks:
        try:
            results.append(check())
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)
    return results


def training_of(given: Mapping[str, Any], begun: Training | None = None) -> Training:
    """The Training of the options given; the others are those of a run that was begun, else the defaults."""
    words = dict(given)
    if (clip := words.pop("clip", None)) is not None:
        loss = words.get("loss")
        if loss is not None and clip_bounds(loss) != clip:
            raise ConfigError(
                "loss must be left out beside clip, which stands for --loss clip:LO,HI",
                f"--loss {loss} --clip {clip[0]:g} {clip[1]:g}",
                "give one of the two",
            )
        words["loss"] = f"clip:{clip[0]!r},{clip[1]!r}"
    return Training.of(**{**(begun.to_json() if begun else {}), **words})


def checked_share(name: str, value: float | None) -> None:
    """Raises ConfigError unless it is None or 0..1."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a number from 0 to 1", repr(value), "for example 0.9")


def demand(accuracy: float, least: float | None) -> None:
    """Raises AccuracyError where an accuracy is under what ``--min-accuracy`` asks for."""
    if least is not None and not accuracy >= least:
        raise AccuracyError(f"the test accuracy must be at least {least:g}", f"{accuracy:.4f}")
