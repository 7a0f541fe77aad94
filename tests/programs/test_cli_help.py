"""What --help says: sentences, panels that hold what they say, examples that are valid, each option once."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest
import typer
from cli_runs import run
from fastmlp_cli import options
from fastmlp_cli.app import app
from fastmlp_cli.failures import CODES
from fastmlp_cli.suggestions import CALLED, meant

import fastmlp
from fastmlp import spec
from fastmlp.train import steps

CLI = Path(__file__).parents[2] / "cli"
GROUP = typer.main.get_command(app)
COMMANDS = dict(GROUP.commands)
NO_OPENING = {
    "a", "an", "as", "at", "between", "by", "for", "from", "how", "in", "of", "on", "so", "that", "the",
    "what", "when", "where", "whether", "with",
}  # fmt: skip


def shown(command):
    """The command's options and arguments, help among them."""
    return command.get_params(typer.Context(command))


def wrong_sentence(text):
    """Why a help text is no sentence; nothing where it is one."""
    first = text.split()[0] if text else ""
    if not text.endswith("."):
        return "no full stop"
    if first[:1] != first[:1].upper():
        return "no capital"
    return "an opening that is no verb and no noun" if first.lower() in NO_OPENING else ""


def examples(command):
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("fastmlp")]


def test_check_of_sentences_goes_red():
    for text in (
        "",
        "Of sgd.",
        "Images a step",
        "that times every parameter.",
        "What it holds.",
        "As in train.",
    ):
        assert wrong_sentence(text), text
    assert not wrong_sentence("Seed of the first weights.")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_made_of_sentences(command):
    told = {param.name: param.help or "" for param in shown(COMMANDS[command])}
    assert not {name: wrong for name, text in told.items() if (wrong := wrong_sentence(text))}
    for paragraph in COMMANDS[command].help.split("\n\n"):
        assert paragraph[0].isupper(), paragraph
        assert paragraph.endswith("."), paragraph


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_its_terminal(command, columns):
    text = run(command, "--help", env={"COLUMNS": str(columns), "TERMINAL_WIDTH": None}).stdout
    assert max(map(len, text.splitlines())) <= columns
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    for paragraph in COMMANDS[command].help.split("\n\n"):
        assert any(paragraph in " ".join(part.split()) for part in paragraphs), "lines broken in the middle"
    for example in examples(COMMANDS[command]):
        assert f" {example} " in f"{text} ", "an example that is cut"
    assert "─ Options ─" not in text  # a panel of --help alone


def test_panels_hold_what_they_say():
    panels = {}
    for command in COMMANDS.values():
        for param in shown(command):
            if isinstance(param, typer.core.TyperOption):
                panels.setdefault(param.name, set()).add(param.rich_help_panel)
    assert panels.pop("out") == {"Run folder", "Output"}  # predict and study write a file
    where = {name: place for name, (place,) in panels.items()}  # the same in every command
    assert where["momentum"] == where["lr"] == where["schedule"] == "Optimizer"
    assert where["label"] == where["task"] == where["drop"] == where["as_category"] == "Data"
    assert where["validation"] == where["patience"] == where["epochs"] == "Training"
    assert where["class_weight"] == where["sample_weight"] == where["clip"] == "Loss"
    assert where["threads"] == where["driver"] == "Speed"
    assert where["resume"] == where["checkpoint_seconds"] == "Run folder"
    assert where["json"] == where["quiet"] == where["help"] == "Output"


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_valid(command):
    found = examples(COMMANDS[command])
    assert found or command in ("info", "warmup")
    for line in found:
        words = shlex.split(line.partition(" > ")[0])
        assert words[:2] == ["fastmlp", command]
        COMMANDS[command].make_context(command, words[2:])


def test_every_exit_code_is_told():
    told = GROUP.epilog.removeprefix("Exit codes: ").split(", ")
    assert sorted(int(text.split()[0]) for text in told if "+" not in text) == [0, *range(1, 6)]
    assert {code for code in CODES.values() if code < 128} == {*range(1, 6)}


def test_options_are_those_of_a_training():
    """Whoever adds a field to Training or to its Optimizer is told that the option is missing."""
    fields = fastmlp.Training().to_json()
    python_alone = {"frozen", "alpha"}
    assert set(options.TrainingOptions.__annotations__) == {*spec.WORDS, "clip"} - python_alone
    train = {param.name: param.default for param in COMMANDS["train"].params}
    words = {"hidden": "100", "center": None}  # as the scale has it
    words |= dict.fromkeys(("loss", *steps.BY_DATA))
    assert {name: train[name] for name in fields} == fields | words


def written(name):
    """How often the name stands in the source of the command line, as a name of anything or as a text."""
    places = 0
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            words = [getattr(node, field, None) for field in ("id", "arg", "attr", "value")]
            places += name in [word for word in words if isinstance(word, str)]
    return places


@pytest.mark.slow
def test_each_option_of_a_training_is_written_once():
    names = set(options.TrainingOptions.__annotations__) - set(options.PlainOptions.__annotations__)
    names -= {*options.BY_DATA}  # in a list too
    assert "momentum" in names
    assert {name: written(name) for name in names} == dict.fromkeys(names, 1)
    assert written("threads") > 10  # what is many times is seen


# --- what is meant ------------------------------------------------------------------------------


def test_the_program_alone_shows_its_help():
    alone, asked = run(), run("--help")
    assert (alone.exit_code, alone.stderr) == (0, "")
    assert alone.stdout == asked.stdout
    assert "train" in alone.stdout


@pytest.mark.parametrize(
    ("command", "option", "ours"),
    [
        ("train", "--activation", "--act"), ("train", "--learning-rate", "--lr"),
        ("train", "--learning_rate", "--lr"), ("train", "--batch", "--batch-size"),
        ("train", "--batch_size", "--batch-size"), ("train", "--optim", "--optimizer"),
        ("train", "--target", "--label"), ("train", "--y", "--label"), ("train", "--Epochs", "--epochs"),
        ("train", "--hidden-layer-sizes", "--hidden"), ("train", "--patence", "--patience"),
        ("diagnose", "--learning-rate", "--lr"), ("predict", "--probabilities", "--proba"),
    ],
)  # fmt: skip
def test_an_option_by_another_name_is_answered_with_ours(command, option, ours):
    result = run(command, option, "1")
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert f"No such option: {option}. Did you mean '{ours}'?" in said


def test_nothing_is_made_up():
    assert "Did you mean" not in run("train", "--zzz", "1").stderr
    assert "Did you mean" not in run("evaluate", "--learning-rate", "1").stderr  # which it has not
    assert meant("--activation", {"--act"}) == "--act"
    assert meant("--activation", {"--lr"}) is None
    assert meant("--", {"--lr"}) is None


def test_no_name_means_two_options_or_one_that_is_ours():
    names = [name for words in CALLED.values() for name in words.split()]
    assert len(names) == len(set(names))
    ours = {option for command in COMMANDS.values() for param in shown(command) for option in param.opts}
    train = {option for param in shown(COMMANDS["train"]) for option in param.opts}
    assert not {f"--{name}" for name in names} & train
    assert set(CALLED) - ours <= {"--as-category", "--drop", "--folds", "--keep", "--task"}
