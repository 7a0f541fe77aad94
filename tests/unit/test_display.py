"""What print, IPython and notebooks show: a small table of each public class, whatever is in it."""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp import Architecture, BatchNorm, EpochResult, Layer, Optimizer, Training
from fastmlp.data import Dataset
from fastmlp.data.auditing.report import Audit
from fastmlp.data.columns import Columns
from fastmlp.data.table import Column, Table
from fastmlp.diagnosis.report import Diagnosis
from fastmlp.display import Display, Displayed, brief, cell, ends, listed
from fastmlp.net import Norm
from fastmlp.train.folds import CrossValidation
from fastmlp.train.scores import Guess, Scores

MOST_LINES, MOST_CHARACTERS, MOST_HTML = 25, 3600, 40_000
EVIL = "<script>alert('1')</script> & \"x\"\x1b[31m\n\u202egnol\udc80" + "y" * 5000
NAMES = [f"{EVIL}{i}" for i in range(60)]


def faults(value: Any) -> list[str]:
    """What is wrong with the forms of a value: too long, a dump of arrays, HTML that is not whole."""
    page = value._repr_html_() if hasattr(value, "_repr_html_") else ""
    texts = {"str": str(value), "repr": repr(value)}
    found = [f"{name} is long" for name, text in texts.items() if is_long(text)]
    found += [f"{name} dumps" for name, text in {**texts, "html": page}.items() if dumps(text)]
    found += [f"{name} is not printable" for name, text in texts.items() if not printable(text)]
    if "\n" in texts["repr"]:
        found.append("repr has several lines")
    return found + html_faults(page)


def is_long(text: str) -> bool:
    return text.count("\n") >= MOST_LINES or len(text) > MOST_CHARACTERS


def dumps(text: str) -> bool:
    """Numbers in brackets, as NumPy or a list has them, or the words of an array."""
    numbers = r"-?\d[\d.e+-]*(?:,? +|,?\n)"
    return bool(re.search(rf"array\(|dtype=|\[(?:\s*{numbers}){{12}}", text))


def printable(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


class _Reader(HTMLParser):
    """The tags that are open, the text, and what may not be there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag not in ("div", "strong", "table", "thead", "tbody", "tr", "th", "td"):
            self.wrong.append(tag)
        self.wrong += [name for name, _ in attributes if name != "style"]
        self.wrong += [
            value for _, value in attributes if value and re.search(r"url|#|\brgb|black|white", value)
        ]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


def html_faults(page: str) -> list[str]:
    """What a page must not have: tags that do not close, scripts, colours of its own, too much of it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    wrong = [*reader.open, *reader.wrong, *["long"] * (len(page) > MOST_HTML)]
    return [f"html has {name}" for name in wrong]


# --- the public classes -------------------------------------------------------------------------


def epoch(number: int, **fields: Any) -> EpochResult:
    told = {"seconds": 0.01, "samples_per_second": 1e5, "train_loss": 0.5 / number, "train_accuracy": 0.9}
    told |= {"test_loss": 0.6, "test_accuracy": 0.8, "live_share": 0.99, "dead_units": [3] * 500}
    return EpochResult(epoch=number, **told | fields)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """One of each public class, large or hostile where it can be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _values()


def _values() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(300, 784)), draw.permutation(np.arange(300) % 150)
    data = Dataset.of(X, y, (X, y))
    data = replace(data, name=EVIL, source=EVIL)
    deep = {"hidden": (16,) * 40, "dropout": 0.1, "batch_norm": True}
    model, history = fastmlp.fit(X, y, Training.of(**deep, epochs=1, scale="standard", optimizer="adam"))
    few = np.arange(300) % 2
    found = fastmlp.diagnose(X[:, :20], few, scale=1, hidden=8, epochs=1, seconds=0.1)
    (fitted,) = fastmlp.fit_many(X, y, [replace(model.training, epochs=2)])
    history = replace(history, epochs=[epoch(i) for i in range(1, 10_001)], best_epoch=77)
    words, shares = tuple(sorted(NAMES)), tuple(np.linspace(0, 1, 60).tolist())
    column = Column(EVIL, "text", np.arange(500, dtype=np.int32) % 60, words)
    table = Table((column, *(Column(name, "number", draw.normal(size=500)) for name in NAMES)), EVIL, (EVIL,))
    scores = Scores(
        "classes", 500, 0.5, Guess(0.1, 3.0), ((0.0, 1.0),), 0.9, 0.4, words, (5,) * 60, shares,
        ((1,) * 60,) * 60,
    )  # fmt: skip
    many = np.linspace(0.5, 9, 784)
    net = replace(model.net, preprocessing=fastmlp.Preprocessing(many, many))
    return {
        "Architecture": Architecture.of(3000, (1000,) * 999, 10, dropout=0.2),
        "Audit": fastmlp.data.audit(table, EVIL),
        "BatchNorm": BatchNorm("after", 0.9),
        "Column": column,
        "Columns": Columns.fitted(table),
        "CrossValidation": CrossValidation((scores,) * 500),
        "Dataset": data,
        "Diagnosis": replace(found, findings=[replace(f, measured=EVIL) for f in found.findings * 30]),
        "EpochResult": epoch(1),
        "Evaluation": fastmlp.Evaluation(0.25, 0.5),
        "Fitted": replace(fitted, failure=fastmlp.DivergedError(EVIL)),
        "History": history,
        "Layer": Layer(512, dropout=0.2),
        "MLPClassifier": fastmlp.MLPClassifier(max_iter=2, early_stopping=True).fit(X, few),
        "MLPRegressor": fastmlp.MLPRegressor(max_iter=2, early_stopping=True).fit(X, y),
        "Model": replace(model, net=net),
        "Net": net,
        "Norm": model.parameters.norms[0],
        "Optimizer": Optimizer("adamw", weight_decay=0.1),
        "OptimizerState": fastmlp.OptimizerState.start(model.parameters, Optimizer("adam")),
        "Parameters": model.parameters,
        "Preprocessing": net.preprocessing,
        "TargetScale": fastmlp.TargetScale(many, many),
        "Scores": scores,
        "Table": table,
        "Training": Training.of(**deep, scale=tuple(many), class_weight=tuple(many), epochs=10**6),
    }


def public() -> set[str]:
    named = {name: getattr(fastmlp, name) for name in (*fastmlp.__all__, *fastmlp._EXTRAS)}
    classes = {name for name, value in named.items() if inspect.isclass(value)}
    return {name for name in classes if not issubclass(named[name], Exception)}


def test_every_public_class_is_here(values):
    others = Audit, Dataset, Diagnosis, Norm, Column, Columns, Table, Scores, CrossValidation
    assert public() | {kind.__name__ for kind in others} == set(values)


def test_no_form_is_long_or_a_dump(values):
    ours = {name: value for name, value in values.items() if not name.startswith("MLP")}
    assert {name: found for name, value in ours.items() if (found := faults(value))} == {}


def test_estimators_keep_the_forms_of_scikit_learn(values):
    for name in ("MLPClassifier", "MLPRegressor"):
        assert repr(values[name]) == f"{name}(early_stopping=True, max_iter=2)"
        assert not dumps(str(values[name]))
        page = values[name]._repr_html_()
        assert "sk-" in page
        assert name in page


def test_results_have_tables_in_all_three_forms(values):
    for name in {*values} - {"Architecture", "BatchNorm", "Evaluation", "Layer", "Optimizer", "Training"}:
        value = values[name]
        if name.startswith("MLP"):
            continue
        assert repr(value) == f"<{str(value).splitlines()[0]}>", name
        assert value._repr_html_().startswith("<div"), name
    for name in ("Architecture", "Evaluation", "Training"):
        assert "<td" in values[name]._repr_html_()


def test_a_planted_dump_goes_red():
    @dataclass
    class Bare:
        weights: Any
        name: str = ""

    for weights in (np.arange(784.0), np.zeros((3, 3)), list(range(2000)), [float(i) for i in range(40)]):
        assert faults(Bare(weights)), weights
    assert faults(Bare(None, "x" * 4000))
    assert is_long("x\n" * 30)

    class Markup:
        _repr_html_ = None

        def __init__(self, page: str) -> None:
            self._repr_html_ = lambda: page

        def __repr__(self) -> str:
            return "markup"

    for page in (
        "<div><script>1</script></div>", "<div><b>", "<td></div>", "<div onclick='x'></div>",
        "<td style='color:#fff'></td>", "<div>" + "x" * MOST_HTML + "</div>", "<div>array([1.])</div>",
    ):  # fmt: skip
        assert faults(Markup(page)), page
    assert not faults(Markup("<div><td style='color:inherit'>1 &lt; 2</td></div>"))


def test_a_history_shows_its_beginning_and_its_end(values):
    lines = str(values["History"]).splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == [
        *"12345", "...", "9,996", "9,997", "9,998", "9,999", "10,000",
    ]  # fmt: skip
    assert lines[1].split()[:3] == ["epoch", "loss", "accuracy"]
    assert len({len(line) for line in lines[1:-1]}) == 1
    assert "epoch 77" in lines[-1]
    assert (
        str(replace(values["History"], epochs=[], best_epoch=None)).splitlines()[0].startswith("History of 0")
    )


def test_columns_without_anything_are_left_out():
    history = fastmlp.History("numba", 1, [epoch(1, test_loss=None, test_accuracy=None, dead_units=[0])])
    assert str(history).splitlines()[1].split() == ["epoch", "loss", "accuracy", "live", "seconds"]


def test_models_say_what_they_are_of():
    X = np.random.default_rng(1).normal(size=(60, 3))
    model, _ = fastmlp.fit(X, X[:, 0] > 0, scale="standard", epochs=2, hidden=(5, 4), dropout=0.5)
    text = str(model)
    assert text.startswith("Model 3-5-4-2 of 2 classes, after epoch 2\n")
    assert re.search(r"^  classes +False, True$", text, re.M)
    assert re.search(r"^  hidden 1 +3 x 5 +relu +dropout 0.5 +20$", text, re.M)
    assert re.search(r"^  output +4 x 2 +identity +10$", text, re.M)
    numbers, history = fastmlp.fit(X, X, loss="squared", scale="standard", epochs=2)
    assert repr(numbers) == "<Model 3-100-3 of numbers, after epoch 2>"
    assert "mean absolute error" in str(numbers.evaluate(X, X))
    assert repr(history.final).startswith("<EpochResult 2: loss ")
    assert "accuracy" not in str(history)
    answers, _ = fastmlp.fit(X, (X > 0) * 1, loss="binary", epochs=1)
    assert repr(answers) == "<Model 3-100-3 of 3 answers, after epoch 1>"


def test_data_say_how_they_were_read():
    frame = {"age": [1.0, 2, 3, 4], "city": ["Oslo", "Rome", "Rome", None], "kind": ["a", "b", "a", "b"]}
    text = str(Dataset.of(frame, "kind"))
    assert text.startswith("Dataset table: 4 rows of 2 columns\n")
    assert re.search(r"^  rows +1 number, 1 text$", text, re.M)
    assert re.search(r"^  a +2 +0$", text, re.M)
    assert re.search(r"^  label: 'kind'", text, re.M)
    assert repr(Dataset.of(frame, "kind", frame)) == "<Dataset table: 4 rows of 2 columns, 4 to test on>"


def test_names_are_escaped(values):
    for name in ("Dataset", "Diagnosis", "Fitted"):
        page, text = values[name]._repr_html_(), str(values[name])
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "\x1b" not in page + text
        assert "\\x1b" in text


# --- repr of what is a configuration ------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        Training(),
        Training(hidden=(), lr=0.1, loss="clip:1e-10,0.999999"),
        Training.of(hidden="64,32", act="relu,tanh", dropout=(0.2, 0.5), batch_norm=True, momentum=0.9),
        Training.of(hidden=[Layer(8, "tanh", init="orthogonal")], optimizer="adam", scale="standard", seed=7),
        Training(scale=(1.0, 2.5), class_weight=(1, 2.0), validation=0.1, patience=3),
        Layer(5), Layer(5, "leaky_relu:0.3", 0.5, BatchNorm("after"), False),
        BatchNorm(), BatchNorm("after", 0.9, 1e-5, True),
        Architecture(4, (Layer(3, dropout=0.1), 2), 2),
        Architecture.of(4, (3, 2), 2, l2=0.1, input_dropout=0.25),
    ],
)  # fmt: skip
def test_the_repr_of_a_configuration_makes_it_again(value):
    names = {kind.__name__: kind for kind in (Training, Layer, BatchNorm, Architecture, Optimizer)}
    assert eval(repr(value), names) == value
    assert len(repr(value)) < 200


def test_the_repr_of_a_long_one_is_cut():
    assert len(repr(Training(scale=(0.1,) * 10_000))) < 400
    assert len(repr(Architecture.of(10, (5,) * 900, 2))) < 400


def test_brief_knows_other_defaults():
    assert brief(Architecture(3, (), 2), output=Layer(2, "identity")) == "Architecture(3, (), 2)"


# --- the description ----------------------------------------------------------------------------


def test_text_is_aligned():
    shown = Display(
        "A title",
        [("a", 1234567), ("longer", "text")],
        ("name", "count", "share", "none"),
        [("日本", 5, "12.5%", None), ("x", 1_000_000, "3.1%", None), None],
        ["A sentence.", "another " * 30],
    ).text()
    assert shown.splitlines()[:8] == [
        "A title",
        "  a       1,234,567",
        "  longer  text",
        "",
        "  name      count  share",
        "  日本          5  12.5%",
        "  x     1,000,000   3.1%",
        "  ...         ...    ...",
    ]
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_text_and_html_have_the_same_cells():
    shown = Display("T", [("f", 0.25)], ("a", "b"), [("<1>", 2), ("&", 3.5)], ["n"])
    reader = _Reader()
    reader.feed(shown.html())
    assert reader.text == "Tf0.2500ab<1>2&3.5000n"
    assert not html_faults(shown.html())
    assert Display("bare").text() == "bare"
    assert html_faults(Display("bare").html()) == []
    assert Display("empty", heading=("a", "b")).text() == "empty\n  a  b"


@pytest.mark.parametrize("rows", [0, 1, 10, 11, 12, 13, 5000])
def test_tables_are_never_long(rows):
    facts = [(str(i), i) for i in range(rows)]
    shown = Display("T", facts, ("a", "b"), [(i, str(i)) for i in range(rows)], ["note"])
    assert shown.text().count("\n") < 28
    assert not html_faults(shown.html())
    if rows:
        last = shown.text().splitlines()[-2].split()
        assert last == [cell(rows - 1), str(rows - 1)]


def test_cells():
    pairs = {
        1234567: "1,234,567", 0.5: "0.5000", 3.0: "3", 12345.678: "12,346", 1e-7: "1e-07", 1e300: "1e+300",
        -0.25: "-0.2500", float("nan"): "nan", float("-inf"): "-inf", None: "", "a\tb": "a\\tb",
        np.float32(0.5): "0.5000", np.int64(5000): "5,000", "x" * 99: "x" * 44 + " ...",
        np.bool_(False): "no",
    }  # fmt: skip
    assert {key: cell(key) for key in pairs} == pairs
    assert cell(True) == "yes"
    assert cell(False) == "no"
    assert cell(np.zeros((5, 7))) == "array of shape (5, 7)"
    for huge in (10**70, -(10**400), 10**5000, 10**100_000):
        assert 10 < len(cell(huge)) <= 48
    assert cell(object).startswith("<class")


def test_heads_and_tails():
    assert ends([]) == []
    assert ends([*range(10)], 10) == [*range(10)]
    assert ends(range(11), 4) == [0, 1, None, 9, 10]
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(1000), 4) == "0, 1, ..., 998, 999"
    assert listed([]) == ""


def test_within_a_list_of_ipython_it_is_a_line():
    pretty = pytest.importorskip("IPython.lib.pretty").pretty

    class Shown(Displayed):
        def _display(self) -> Display:
            return Display("Shown", [("a", 1)])

    assert pretty(Shown()) == "Shown\n  a  1"
    assert pretty([Shown(), Shown()]) == "[<Shown>, <Shown>]"
    with pytest.raises(NotImplementedError):
        str(Displayed())
