"""README.md, CONTRIBUTING.md and docs/: length, links, and the options, files and findings they name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from fastmlp_cli.app import app
from pages import KERNELS, PAGES, ROOT, module_at, text

import fastmlp
from fastmlp.data.auditing.rules import RULES as TABLE_RULES
from fastmlp.diagnosis.rules import RULES
from fastmlp.spec import WORDS as WORDS_OF_A_TRAINING
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.inits import INITS
from fastmlp.words.layers import LAYER_WORDS
from fastmlp.words.losses import LOSSES
from fastmlp.words.optimizers import OPTIMIZERS
from fastmlp.words.scales import SCALES
from fastmlp.words.schedules import SCHEDULES

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
WORDS = {  # options of other programs, and of all of ours
    "--help", "--version", "--install-completion", "--benchmark-only", "--benchmark-autosave",
    "--benchmark-compare", "--only", "--strict",
}  # fmt: skip


def options_of(command: str) -> set[str]:
    return {name for param in COMMANDS[command].params for name in (*param.opts, *param.secondary_opts)}


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as links have them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


@pytest.mark.parametrize(("page", "most"), [("README.md", 150), ("CONTRIBUTING.md", 60)])
def test_what_is_read_first_is_short(page, most):
    assert len(text(page).splitlines()) <= most


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    generated = {
        *module_at("docs/hooks.py").ELSEWHERE,
        *(path.name for path in (ROOT / "bench").glob("*.svg")),
    }
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text(page)):
        name, _, anchor = link.partition("#")
        if page.startswith("docs/") and name in generated:
            continue
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_options_that_are_shown(page):
    for line in re.findall(r"^(?:    |\$ )?(?:.*&& )?(?:\.venv/bin/)?(fastmlp \w.*)$", text(page), re.M):
        words = shlex.split(line.split(" && ")[0])
        if len(words) < 2 or words[1] not in COMMANDS:
            continue
        found = {word for word in words if word.startswith("--")}
        assert found <= options_of(words[1]), line


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith("changelog.md")])
def test_options_in_the_text_are_ours(page):
    known = WORDS | {option for command in COMMANDS for option in options_of(command)}
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", prose)) <= known


def test_the_page_of_the_command_line_has_every_command_and_every_option_in_its_panel():
    page = text("docs/cli.md")
    for command in COMMANDS:
        assert f"| `fastmlp {command}` |" in page
    panels = dict(re.findall(r"^\| ([A-Z][\w ]+) \| (`--.*) \|$", page, re.M))
    shown = {name: re.findall(r"`(--[\w-]+)`", options) for name, options in panels.items()}
    for param in COMMANDS["train"].params:
        panel = getattr(param, "rich_help_panel", None)
        assert param.opts[0] == "--help" or param.opts[0] in shown[panel], param.opts


@pytest.mark.parametrize("page", PAGES)
def test_named_files_are_there(page):
    """By a path from the root, the package, the tests or the page's folder; in the walk, from kernels/."""
    places = [
        ROOT,
        ROOT / "fastmlp",
        ROOT / "tests",
        (ROOT / page).parent,
        *([KERNELS] if page == "docs/design.md" else []),
    ]
    for name in re.findall(r"`((?!test_)[\w./-]+\.py|[\w-]+/)`", text(page)):
        assert any((place / name).exists() for place in places), name


def first_cells(section=""):
    """The first cell of each row of the tables on the page of words, of one section or of all."""
    page = f"{text('docs/words.md')}\n## ".split(f"\n## {section}\n" if section else "\n# ")[-1]
    return re.findall(r"^\| (`.*?) \|", page.split("\n## ")[0] if section else page, re.M)


TABLES = {
    "Layers": ("hidden", *LAYER_WORDS, "input_dropout"),
    "Activations": ACTIVATIONS,
    "Losses": LOSSES,
    "Schedules": (*SCHEDULES, "warmup"),
    "First weights": INITS,
    "Inputs": ("scale", *SCALES, "center"),
}


@pytest.mark.parametrize("section", TABLES)
def test_a_table_of_words_has_a_row_for_each_and_no_other(section):
    found = [re.split(r"[`:=]", cell)[1] for cell in first_cells(section)]
    assert sorted(found) == sorted(TABLES[section])


def test_the_page_of_words_has_every_word_of_a_training():
    told = {word for cell in first_cells() for word in re.findall(r"`(\w+)", cell)}
    headings = {"optimizer", "loss", "schedule"}
    assert {*WORDS_OF_A_TRAINING, *OPTIMIZERS} - headings - told == set()


def test_the_reference_has_every_public_name():
    reference = "".join(text(page) for page in PAGES if page.startswith("docs/reference/"))
    names = {name for name in fastmlp.__all__ if not name.startswith("_")} | {"MLPClassifier", "MLPRegressor"}
    errors = {name for name in names if name.endswith("Error")}  # all of them from their module
    modules = {"data", "diagnose", "keras", "kernels", "reference", "torch"}
    missing = {name for name in names - errors - modules if f"::: fastmlp.{name}\n" not in reference}
    assert not missing
    assert "::: fastmlp.errors\n" in reference


def test_every_kernel_has_its_place():
    named = set(re.findall(r"`(\w+\.py)`", text("fastmlp/kernels/README.md")))
    assert {path.name for path in KERNELS.glob("*.py")} - {"__init__.py"} <= named


@pytest.mark.parametrize("page", PAGES)
def test_named_tests_are_there(page):
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for name in re.findall(r"`(test_\w+\.py)`", text(page)):
        assert name in files, name
    for name in re.findall(r"`(test_\w+)`", text(page)):
        assert any(f"\ndef {name}(" in source for source in files.values()), name


def test_every_finding_has_its_place_and_its_row():
    page = text("docs/findings.md")
    assert sorted(re.findall(r"^### `([\w-]+)`$", page, re.M)) == sorted(rule.code for rule in RULES)
    for rule in RULES:
        said = " ".join(re.split(r"\n#+ ", page.split(f"### `{rule.code}`\n")[1])[0].split())
        assert said.startswith(f"**Rule:** {rule.rule} "), f"{rule.code}: {rule.rule}"
        assert said.endswith(f"**Tried:** {rule.tried}. **Severity:** {rule.severity}."), rule.code


def test_every_finding_of_the_audit_has_its_place_and_its_rule():
    page = text("docs/audit.md")
    assert re.findall(r"^#### `([\w-]+)`$", page, re.M) == [rule.code for rule in TABLE_RULES]
    for rule in TABLE_RULES:
        said = " ".join(re.split(r"\n#+ ", page.split(f"#### `{rule.code}`\n")[1])[0].split())
        assert said.startswith(f"**Rule:** {rule.rule} {rule.why} "), f"{rule.code}: {rule.rule}"
        assert said.endswith(f" **Severity:** {rule.severity}."), rule.code


def test_imports_keep_to_the_floors_that_are_shown():
    table = text("docs/design.md").split("## Floors")[1].split("## ")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("|")][2:]
    floor = {name: number for number, row in enumerate(rows) for name in re.findall(r"`(\w+)/?`", row)}
    package = module_at("tests/unit/test_package.py")
    for path, source in package.SOURCES.items():
        parts = package.module_of(path).split(".")
        if path.startswith("cli/") or parts[1:] in ([], ["forks"]):  # which everybody may import
            continue
        for other in package.imports_of(source.read_text(), ".".join(parts)) - {"fastmlp", "fastmlp.forks"}:
            assert floor[other.split(".")[1]] <= floor[parts[1]], f"{path} imports {other}"


def test_referenceload_nothing_from_elsewhere():
    loaded = module_at("docs/hooks.py").loaded_from_elsewhere
    assert loaded('<script src="https://a.b/c.js"></script>') == ["https://a.b/c.js"]
    assert loaded('<link rel="stylesheet" href="//a.b/c.css">') == ["//a.b/c.css"]
    assert loaded("@import 'https://a.b/c.css'; x{background:url(https://a.b/d.png)}") == [
        "https://a.b/c.css", "https://a.b/d.png",
    ]  # fmt: skip
    assert not loaded(
        '<a href="https://a.b">x</a> <img src="c.svg"> <link rel="canonical" href="https://a.b">'
    )


def test_docstrings_become_markdown():
    pytest.importorskip("griffe")
    marked = module_at("docs/docstrings.py").as_markdown
    assert (
        marked("Does it.\n\nX, y: rows\n  of it.\nz:  more.")
        == "Does it.\n\n- `X`, `y`: rows of it.\n- `z`: more."
    )
    assert marked("Parameters\n----------\nX: rows.") == "**Parameters**\n\n- `X`: rows."
    assert marked("cosine: a rate\nof an epoch.") == "cosine: a rate\nof an epoch."
    assert marked("=== ==\na   b\n=== ==\nc   d e\n=== ==") == "| a | b |\n| --- | --- |\n| c | d e |"
    assert marked(">>> f(``x``)") == "```pycon\n>>> f(`x`)\n```"
