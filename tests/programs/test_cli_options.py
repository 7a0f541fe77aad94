"""Options on their way: from the command line to the Training, into the run folder, back with --resume."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from cli_runs import FAST, run, save_blobs
from fastmlp_cli import options

import fastmlp

VALUES = {
    "act": ["sigmoid", "tanh", "identity"],
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
    "optimizer": ["sgd"],
    "momentum": ["0.5", "0.9"],
    "weight_decay": ["0.001"],
    "beta1": ["0.8"],
    "beta2": ["0.99"],
    "epsilon": ["1e-6"],
    "validation": ["0.1", "0.25"],
    "class_weight": ["balanced", "1,2,0.5"],
}  # nesterov and patience hang on others, clip is another word for loss


@pytest.fixture(autouse=True)
def blobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_blobs(tmp_path, 60)


def drawn(seed, least=0):
    """Options by name, each with one of its values."""
    draw = random.Random(seed)
    names = draw.sample(sorted(VALUES), draw.randint(least, len(VALUES)))
    return {name: draw.choice(VALUES[name]) for name in names}


def words(chosen):
    """The same as words of a command line."""
    given = [(f"--{name.replace('_', '-')}", value) for name, value in chosen.items()]
    return [word for name, value in given for word in ([name] if value is True else [name, value])]


def train(*args):
    return run("train", *FAST, "-q", *args)


def test_every_option_of_a_training_is_drawn():
    assert {*VALUES, "nesterov", "patience", "clip"} == set(options.TrainingOptions.__annotations__)


@pytest.mark.parametrize("seed", range(8))
def test_a_run_has_the_options_it_is_given_and_takes_them_again(blobs, seed):
    chosen = drawn(seed)
    assert train("--data", blobs, "--out", "run", *words(chosen)).exit_code == 0
    config = json.loads(Path("run/config.json").read_text())["config"]
    defaults = fastmlp.Training().to_json()
    told = chosen.keys() | ({"center"} if chosen.get("scale") == "standard" else set())
    assert {name for name in config if config[name] != defaults[name]} == told - {"optimizer"}
    assert config["scale"] == {"1": 1, "17.5": 17.5, "standard": "standard"}.get(chosen.get("scale"), 255)
    for name in ("lr", "momentum", "weight_decay", "beta1", "beta2", "epsilon", "validation"):
        assert config[name] == float(chosen.get(name, defaults[name]))
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


@pytest.mark.parametrize("seed", range(4))
def test_a_run_is_not_resumed_with_another_value(blobs, seed):
    chosen = drawn(seed, least=8)
    assert train("--data", blobs, "--out", "run", *words(chosen)).exit_code == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    draw = random.Random(seed)
    name = draw.choice(sorted(name for name in VALUES if len(VALUES[name]) > 1 and name != "epochs"))
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
