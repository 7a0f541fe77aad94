"""Every option that a Training is made of, or that several commands have: declared once, with its help.

A command takes a group of them, a TypedDict, as one parameter (command.py). Wrong values of several options
become one error. Imported for ``--help``: nothing heavy may be loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, TypedDict

import typer

from fastmlp.errors import ConfigError
from fastmlp.spec import BACKENDS, DRIVERS, Training
from fastmlp.train.steps import BY_DATA, steps_of
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.inits import INITS
from fastmlp.words.layers import PLACES
from fastmlp.words.losses import LOSSES, clip_bounds
from fastmlp.words.optimizers import FIELDS, FORMS, OPTIMIZERS, USUAL
from fastmlp.words.scales import AUTO, SCALES
from fastmlp.words.schedules import SCHEDULES

MODEL, TRAINING, LOSS, OPTIMIZER = "Model", "Training", "Loss", "Optimizer"
DATA, SPEED, RUN, OUTPUT = "Data", "Speed", "Run folder", "Output"
SOURCES = ("auto", "mnist", "synthetic")  # the words among the data's names; all else is a path
TASKS = ("auto", "classes", "numbers")
LISTS = ("drop", "keep", "as_category")  # options that name columns

ALONE = {"--batch-norm": PLACES[0]}  # options that may stand without a value, and what they then mean

_PATTERNS = [entry.pattern.partition(", ")[0] for entry in SCHEDULES.values()]

# of the options in groups; None for one that is not here
DEFAULTS: dict[str, Any] = {**Training().to_json(), "data": "auto", "task": TASKS[0], "backend": BACKENDS[0]}
DEFAULTS |= dict.fromkeys(("center", "loss", *BY_DATA))
DEFAULTS |= {word: usual for word, usual in USUAL.items() if usual is False or usual in FORMS}
DEFAULTS["hidden"] = ",".join(map(str, DEFAULTS["hidden"]))


def completes(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Complete a word of the shell from a fixed list."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def option(
    panel: str, help: str, *names: str, metavar: str | None = None, choices: Sequence[str] = ()
) -> Any:
    """An option in a panel of the help. choices: completed by the shell; the metavar, without another."""
    return typer.Option(
        *names,
        help=help,
        metavar=metavar or "|".join(choices) or None,
        autocompletion=completes(choices) if choices else None,
        rich_help_panel=panel,
    )


Threads = Annotated[
    str,
    option(
        SPEED,
        "Number of threads, which never changes the result: auto uses one a core, or fewer where that is "
        "faster.",
        metavar="N|auto",
    ),
]
Driver = Annotated[
    str,
    option(
        SPEED,
        "Run the threads as fastmlp's own team or by Numba's prange; the result is the same.",
        choices=DRIVERS,
    ),
]
Backend = Annotated[
    str,
    option(
        SPEED,
        "Compute by compiled kernels, or by the readable NumPy reference; results agree up to rounding.",
        choices=BACKENDS,
    ),
]
Data = Annotated[
    str,
    option(
        DATA,
        "Data to train on: auto, mnist, synthetic, or a path: a table (.csv, .tsv, .parquet, .feather, "
        ".arrow), .npz, .npy, IDX files or their folder.",
        metavar="SOURCE",
        choices=SOURCES,
    ),
]
TestData = Annotated[
    str | None,
    option(
        DATA,
        "File or folder to test on. Default: the data's own test part, or a sixth that is held out, of each "
        "class alike.",
        metavar="PATH",
    ),
]
Label = Annotated[
    str | None,
    option(
        DATA,
        "Label column of a table, by name or by index. Default: label, class, target or y, else the only "
        "text column, else the last.",
        metavar="NAME|INDEX",
    ),
]
Task = Annotated[
    str,
    option(
        DATA,
        "Kind of label: classes, or numbers for a regression. auto: numbers where it has fractions, or many "
        "different whole numbers.",
        choices=TASKS,
    ),
]
Drop = Annotated[
    list[str] | None,
    option(
        DATA,
        "Columns of a table to leave out. A name with a comma stands in double quotes; the option may be "
        "given again.",
        metavar="NAME,...",
    ),
]
Keep = Annotated[list[str] | None, option(DATA, "Columns to learn from, and no others.", metavar="NAME,...")]
AsCategory = Annotated[
    list[str] | None,
    option(DATA, "Columns of numbers to read as categories, such as postal codes.", metavar="NAME,..."),
]
MinAccuracy = Annotated[
    float | None, option(OUTPUT, "Exit with code 5 when the test accuracy is below A.", metavar="A")
]
MinR2 = Annotated[
    float | None,
    option(OUTPUT, "Exit with code 5 when a regression's R2 is below R.", "--min-r2", metavar="R"),
]
Json = Annotated[bool, option(OUTPUT, "Print one JSON object on stdout.", "--json")]
Quiet = Annotated[bool, option(OUTPUT, "Show the result and no progress.", "--quiet", "-q")]
ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="Run folder, or a model.safetensors.")]


class PlainOptions(TypedDict, total=False):
    """Options of a Training by plain SGD: words of ``Training.of``, and clip."""

    act: Annotated[
        str,
        option(
            MODEL,
            f"Activation of the hidden layers, or one for each: {', '.join(ACTIVATIONS)}.",
            metavar="NAME,...",
            choices=ACTIVATIONS,
        ),
    ]
    hidden: Annotated[
        str,
        option(
            MODEL,
            "Widths of the hidden layers: 100 for one, 128,64 for two, none for softmax regression.",
            metavar="WIDTHS",
        ),
    ]
    scale: Annotated[
        str,
        option(
            MODEL,
            "Divide the inputs by this number: 255 for pixels, 1 to leave them as they are. Or scale each "
            "column by its training rows: standard (less the mean, by the standard deviation), minmax (to "
            "0..1), robust (less the median, by the interquartile range). auto: 255 for pixels, standard for "
            "tables.",
            metavar="NUMBER|NAME",
            choices=(AUTO, *SCALES),
        ),
    ]
    center: Annotated[
        bool | None,
        option(
            MODEL,
            "Subtract each input's training mean before dividing by a number; --no-center subtracts nothing "
            "beside standard, minmax and robust.",
            "--center/--no-center",
        ),
    ]
    init: Annotated[
        str,
        option(
            MODEL,
            f"Distribution of the first weights, or one for each layer: {', '.join(INITS)}; some with "
            "numbers behind a colon.",
            metavar="NAME,...",
            choices=tuple(INITS),
        ),
    ]
    epochs: Annotated[
        int | None,
        option(
            TRAINING,
            "Passes over the training rows. Default: 15 for images; for tables 200, or up to 500 with "
            "--patience.",
        ),
    ]
    batch_size: Annotated[
        int | None, option(TRAINING, "Training rows in each step. Default: 100 for images, 200 for tables.")
    ]
    seed: Annotated[
        int, option(TRAINING, "Seed of the first weights, the order of samples, and of what is held out.")
    ]
    loss: Annotated[
        str | None,
        option(
            LOSS,
            "Loss: logits, keras2 or clip:LO,HI of classes; binary of two classes by one output; squared, "
            "half_squared, absolute, huber:DELTA or poisson of numbers. Default: logits, or squared where "
            "the label holds numbers.",
            metavar="NAME",
            choices=tuple(f"{name}:" if word.needed else name for name, word in LOSSES.items()),
        ),
    ]
    clip: Annotated[tuple[float, float] | None, option(LOSS, "Short for --loss clip:LO,HI.", metavar="LO HI")]
    lr: Annotated[
        float | None,
        option(
            OPTIMIZER,
            "Learning rate, from which a schedule goes. Default: 0.01; for tables 0.001 with adam.",
            "--lr",
        ),
    ]


class TrainingOptions(PlainOptions, total=False):
    """All options of a Training."""

    dropout: Annotated[
        str | None,
        option(
            MODEL, "Share of the hidden units that each step leaves out, or one for each layer.",
            metavar="SHARE,...",
        ),
    ]  # fmt: skip
    input_dropout: Annotated[
        float | None, option(MODEL, "Share of the inputs that each step leaves out.", metavar="SHARE")
    ]
    batch_norm: Annotated[
        str | None,
        option(
            MODEL,
            "Normalise hidden units over each batch, before their activation, or after; "
            "PLACE:MOMENTUM,EPSILON sets what running means keep, and what is added to variances.",
            metavar="PLACE,...",
            choices=("none", *PLACES),
        ),
    ]
    bias: Annotated[bool | None, option(MODEL, "Give units a bias, or none.", "--bias/--no-bias")]
    l1: Annotated[
        str | None,
        option(
            LOSS, "L1 penalty of the weights, or one for each layer: this number times |w| joins the loss.",
            metavar="NUMBER,...",
        ),
    ]  # fmt: skip
    l2: Annotated[
        str | None,
        option(LOSS, "L2 penalty as in Keras: this number times w squared joins it.", metavar="NUMBER,..."),
    ]
    max_norm: Annotated[
        str | None,
        option(
            LOSS, "Norm that the weights into a unit keep within, or one for each layer.",
            metavar="NUMBER,...",
        ),
    ]  # fmt: skip
    schedule: Annotated[
        str,
        option(
            OPTIMIZER,
            f"Learning rate over the epochs, or with /step behind it over the steps: {', '.join(_PATTERNS)}; "
            "warmup:COUNT+ before it rises to it.",
            metavar="NAME",
            choices=(*SCHEDULES, "warmup:"),
        ),
    ]
    optimizer: Annotated[
        str | None,
        option(
            OPTIMIZER,
            f"Rule by which a gradient becomes a step: {', '.join(OPTIMIZERS)}. Default: sgd for images, "
            "adam for tables.",
            "--optimizer", "--optimiser", metavar="NAME", choices=OPTIMIZERS,
        ),
    ]  # fmt: skip
    form: Annotated[
        str,
        option(
            OPTIMIZER, "Library whose formula and whose defaults the optimizer has.", "--form", choices=FORMS
        ),
    ]
    momentum: Annotated[float, option(OPTIMIZER, "Momentum of sgd or rmsprop, for example 0.9.")]
    nesterov: Annotated[bool, option(OPTIMIZER, "Use Nesterov's momentum in sgd.", "--nesterov")]
    rho: Annotated[float, option(OPTIMIZER, "Decay of the squares' mean in rmsprop and adadelta.")]
    centred: Annotated[
        bool,
        option(
            OPTIMIZER, "Subtract the squared mean from the squares' in rmsprop.", "--centred", "--centered"
        ),
    ]
    beta1: Annotated[float, option(OPTIMIZER, "Decay of adam's mean of the gradients.", "--beta1")]
    beta2: Annotated[float, option(OPTIMIZER, "Decay of adam's mean of their squares.", "--beta2")]
    amsgrad: Annotated[
        bool, option(OPTIMIZER, "Keep the largest mean of squares so far in adam or adamw.", "--amsgrad")
    ]
    initial_accumulator: Annotated[
        float, option(OPTIMIZER, "Number from which adagrad begins to sum squares.")
    ]
    epsilon: Annotated[
        float, option(OPTIMIZER, "Number that is added to a root before a step is divided by it.")
    ]
    weight_decay: Annotated[
        float,
        option(
            OPTIMIZER,
            "L2 penalty: this number times each parameter is added to its gradient; adamw's is 0.01.",
        ),
    ]
    decoupled: Annotated[
        bool,
        option(OPTIMIZER, "Shrink the parameters by the weight decay instead, as adamw does.", "--decoupled"),
    ]
    clip_norm: Annotated[
        float, option(OPTIMIZER, "Scale a gradient down to this norm, of all parameters together.")
    ]
    clip_each: Annotated[
        float, option(OPTIMIZER, "Scale the gradient of each array of parameters down to this norm.")
    ]
    clip_value: Annotated[float, option(OPTIMIZER, "Cut each number of a gradient to at most this size.")]
    validation: Annotated[
        float | None,
        option(
            TRAINING,
            "Hold out this share of the training rows, and evaluate on it after each epoch. Default: 0.1 for "
            "tables of over 1,000 rows, else none.",
            metavar="SHARE",
        ),
    ]
    patience: Annotated[
        int | None,
        option(
            TRAINING,
            "Stop after this many epochs without a lower validation loss, and keep the best weights; 0 never "
            "stops early. Default: 20 for tables of over 1,000 rows, else 0.",
            metavar="EPOCHS",
        ),
    ]
    class_weight: Annotated[
        str | None, option(LOSS, "Weight of each class, in their order.", metavar="W,W,...|balanced")
    ]
    label_smoothing: Annotated[
        float, option(LOSS, "Share of each label that is spread over all classes.", metavar="SHARE")
    ]
    scale_targets: Annotated[
        bool,
        option(
            LOSS, "Train on numbers less their mean, by their spread, or on them as they are.",
            "--scale-targets/--raw-targets",
        ),
    ]  # fmt: skip


class PlaceOptions(TypedDict, total=False):
    """The place of the data: arguments of ``data.load``."""

    data: Data
    test_data: TestData


class TableOptions(TypedDict, total=False):
    """The way a table is to be read: arguments of ``data.load``."""

    label: Label
    task: Task
    drop: Drop
    keep: Keep
    as_category: AsCategory


class SourceOptions(PlaceOptions, TableOptions, total=False):
    """All arguments of ``data.load``."""


def checked(*checks: Callable[[], Any]) -> list[Any]:
    """Results of the checks. Raises one ConfigError for all that raise one."""
    results, problems = [], []
    for check in checks:
        try:
            results.append(check())
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError.collect(problems)
    return results


def fields_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Training, of the options given. Raises ConfigError where they contradict each other."""
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
    return words


def training_of(given: Mapping[str, Any], begun: Training | None = None) -> Training:
    """The Training of the options given; the others are those of a run that was begun, else the defaults.

    Without a run it is to check them, and is none to train by: the data have a say. Raises ConfigError for
    what is wrong whatever the data are.
    """
    words = fields_of(given)
    if begun is None:
        return _as_some_data_allow(words)
    base = begun.to_json()
    if words.get("optimizer", base.get("optimizer")) != base.get("optimizer"):
        base = {name: value for name, value in base.items() if name not in FIELDS}
    return Training.of(**{**base, **words})


def _as_some_data_allow(words: dict[str, Any]) -> Training:
    try:
        return Training.of(**words)
    except ConfigError:
        with suppress(ConfigError):
            return Training.of(**{**steps_of(10**6, words), **words})
        raise
