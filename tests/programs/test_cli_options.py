"""Options on their way: from the command line to the Training, into the run folder, back with --resume."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from cli_runs import FAST, run, save_blobs
from fastmlp_cli import asked, options

import fastmlp

HIDDEN = {  # what only hidden layers have
    "act": ["sigmoid", "tanh", "identity"],
    "dropout": ["0.2", "0.5"],
    "batch_norm": ["after", "before:0.9,1e-05,unbiased"],
}
VALUES = {
    **HIDDEN,
    "hidden": ["7", "5,4", "none"],
    "scale": ["1", "17.5", "standard"],
    "center": [True],
    "init": ["he_uniform", "torch"],
    "epochs": ["1", "2"],
    "batch_size": ["7", "50"],
    "seed": ["3", "12"],
    "loss": ["keras2", "clip:1e-5,0.99"],
    "lr": ["0.003", "1e-4"],
    "schedule": ["step:1,0.5"],
    "form": ["keras"],
    "weight_decay": ["0.001"],
    "validation": ["0.1", "0.25"],
    "class_weight": ["balanced", "1,2,0.5"],
    "input_dropout": ["0.1"],
    "l1": ["0.001"],
    "l2": ["0.01", "1e-3"],
    "max_norm": ["3"],
}  # nesterov, decoupled and patience hang on others, clip is another word for loss, bias is told by --no-bias
# and what there is of targets by test_cli_tasks.py
RULES = [  # an optimizer, and values of words that it takes
    {"optimizer": "sgd", "momentum": "0.5", "nesterov": True, "clip_norm": "2"},
    {"optimizer": "rmsprop", "rho": "0.8", "momentum": "0.9", "centred": True, "clip_each": "0.5"},
    {"optimizer": "adam", "beta1": "0.8", "beta2": "0.99", "epsilon": "1e-6", "amsgrad": True},
    {"optimizer": "adagrad", "initial_accumulator": "0.2", "clip_value": "0.1"},
    {"optimizer": "adadelta", "rho": "0.8", "epsilon": "1e-5"},
    {"optimizer": "nadam", "weight_decay": "0.01", "decoupled": True},
    {"optimizer": "adamw"},
    {"optimizer": "adamax", "beta2": "0.9"},
]


@pytest.fixture(autouse=True)
def blobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_blobs(tmp_path, 60)


def drawn(seed, least=0):
    """Options by name, each with one of its values."""
    draw = random.Random(seed)
    names = draw.sample(sorted(VALUES), draw.randint(least, len(VALUES)))
    chosen = {name: draw.choice(VALUES[name]) for name in names} | RULES[seed % len(RULES)]
    bare = HIDDEN if chosen.get("hidden") == "none" else ()
    return {name: value for name, value in chosen.items() if name not in bare}


def words(chosen):
    """The same as words of a command line."""
    given = [(f"--{name.replace('_', '-')}", value) for name, value in chosen.items()]
    return [word for name, value in given for word in ([name] if value is True else [name, value])]


def train(*args):
    return run("train", *FAST, "-q", *args)


def test_every_option_of_a_training_is_drawn():
    known = {*VALUES, "patience", "clip", "bias", "label_smoothing", "scale_targets"}.union(*RULES)
    assert known == set(options.TrainingOptions.__annotations__)


@pytest.mark.parametrize("seed", range(8))
def test_a_run_has_the_options_it_is_given_and_takes_them_again(blobs, seed):
    chosen = drawn(seed)
    assert train("--data", blobs, "--out", "run", *words(chosen)).exit_code == 0
    config = json.loads(Path("run/config.json").read_text())["config"]
    rule = {name: chosen[name] for name in ("optimizer", "form") if name in chosen}
    defaults = fastmlp.Training.of(**rule, scale=255).to_json()
    if chosen.get("scale") == "standard":
        defaults |= {"center": True}
    changed = {name for name in config if config[name] != defaults.get(name)}
    assert changed == {name for name in chosen if name not in rule and name != "decoupled"} | (
        {"decoupled"} if "decoupled" in chosen and "form" not in chosen else set()
    )
    if chosen.get("scale") == "standard":
        assert config["scale"] == "standard"
    for name, value in {**defaults, **chosen}.items():
        if isinstance(defaults.get(name), float) and value != "standard":
            assert config[name] == float(value)
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    again = dict(random.Random(seed).sample(sorted(chosen.items()), len(chosen) // 2))
    result = run("train", "--resume", "run", *words(again))
    assert result.exit_code == 0, result.stderr
    assert "nothing is left to do" in result.stderr
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


def test_each_hidden_layer_may_have_its_activation(blobs):
    chosen = words({"hidden": "5,4", "act": "relu,tanh", "epochs": "1"})
    assert train("--data", blobs, "--out", "run", *chosen).exit_code == 0
    assert json.loads(Path("run/config.json").read_text())["config"]["act"] == ["relu", "tanh"]
    assert "64-5-4-3, relu,tanh, scale 255" in run("evaluate", "run", *FAST).stderr
    result = train("--data", blobs, "--hidden", "5", "--act", "relu,tanh")
    assert (result.exit_code, "one for each of 1 hidden layers" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("given", "word", "value"),
    [
        (["--batch-norm"], "batch_norm", "before"),
        (["--batch-norm", "--center"], "batch_norm", "before"),
        (["--batch-norm", "after"], "batch_norm", "after"),
        (["--batch-norm=after:0.9,1e-05"], "batch_norm", "after:0.9,1e-05"),
        (["--batch-norm", "none,before:0.9,0.1,unbiased"], "batch_norm", [None, "before:0.9,0.1,unbiased"]),
        (["--no-bias"], "bias", False),
        (["--dropout", "0.2,0.5"], "dropout", [0.2, 0.5]),
        (["--l2", "0,0,0.1"], "l2", [0.0, 0.0, 0.1]),
        (["--init", "he_normal,uniform:-1,2,torch"], "init", ["he_normal", "uniform:-1.0,2.0", "torch"]),
    ],
)
def test_words_of_layers_are_said_as_options(blobs, given, word, value):
    words = ["--data", blobs, "--hidden", "5,4", "--epochs", "1", "--out", "run"]
    assert train(*words, *given).exit_code == 0
    assert json.loads(Path("run/config.json").read_text())["config"][word] == value


def test_evaluate_says_which_words_a_model_has(blobs):
    given = [
        "--hidden",
        "5,4",
        "--act",
        "leaky_relu:0.2,tanh",
        "--dropout",
        "0.2",
        "--batch-norm",
        "--no-bias",
    ]
    assert train("--data", blobs, "--epochs", "1", *given).exit_code == 0
    (folder,) = Path("runs").iterdir()
    assert "-leaky_relu0.2,tanh-seed0" in folder.name
    told = "64-5-4-3, leaky_relu:0.2,tanh, dropout 0.2, batch norm before, no bias, scale 255"
    assert told in run("evaluate", str(folder), *FAST).stderr


def test_bad_words_of_layers_are_told_at_once(blobs):
    given = ["--dropout", "2", "--batch-norm", "sideways", "--l1=-1", "--max-norm", "x", "--init", "xavier"]
    result = train("--data", blobs, *given, "--schedule", "linear", "--input-dropout", "1")
    assert result.exit_code == 2
    for name in ("dropout", "batch_norm", "l1", "max_norm", "init", "schedule", "input_dropout"):
        assert f"{name} must be" in result.stderr


@pytest.mark.parametrize("seed", range(4))
def test_a_run_is_not_resumed_with_another_value(blobs, seed):
    chosen = drawn(seed, least=8)
    assert train("--data", blobs, "--out", "run", *words(chosen)).exit_code == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    draw = random.Random(seed)
    bare = HIDDEN if chosen.get("hidden") == "none" else {}
    several = sorted(name for name in VALUES if len(VALUES[name]) > 1 and name not in {"epochs", *bare})
    name = draw.choice(several)
    other = draw.choice([value for value in VALUES[name] if value != chosen.get(name)])
    result = run("train", "--resume", "run", *words({name: other}))
    assert result.exit_code == 2
    assert f"with the options it was begun with; got {name} " in result.stderr
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


@pytest.mark.parametrize("name", sorted({*options.PlainOptions.__annotations__, "data", "label"} - {"clip"}))
def test_a_run_folder_is_diagnosed_with_its_own_options_alone(name):
    given = words({name: VALUES.get(name, ["x"])[0]})
    result = run("diagnose", "run", *given)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"which has its own; got {given[0]}.\n")


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["a,b"], ["a", "b"]),
        ([" a , b c "], ["a", "b c"]),
        (["a", "b,c"], ["a", "b", "c"]),
        (['"x, y",z'], ["x, y", "z"]),
        (['say ""no""'], ['say ""no""']),
        (['"say ""no"""'], ['say "no"']),
        (["größe,日本"], ["größe", "日本"]),
    ],
)
def test_names_of_columns_are_split_at_commas(texts, names):
    assert asked.names_in("drop", texts) == names
    assert asked.source_of({"drop": texts, "label": "a,b"}) == {"drop": names, "label": "a,b"}


@pytest.mark.parametrize("text", ["", ",", "a,", '"a', 'a,""', "a\nb", '"a"b'])
def test_names_that_cannot_be_split_are_refused(text):
    with pytest.raises(fastmlp.ConfigError, match="as-category must name columns"):
        asked.names_in("as_category", [text])
