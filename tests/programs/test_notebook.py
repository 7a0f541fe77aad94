"""A notebook: what its cells show of our values, and a bar that is replaced in place."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import Any

import pytest

from fastmlp.display import bar as bars

CELLS = {
    "fit": """
import warnings; warnings.simplefilter("error")
import numpy as np, fastmlp
X = np.random.default_rng(0).normal(size=(4000, 200)).astype("f4")
model, history = fastmlp.fit(X, X[:, 0] > 0, scale=1, hidden=100, epochs=12, threads=1, progress=True)
""",
    "model": "model",
    "history": "history",
    "list": "[model, history]",
    "plot": "history.plot()",
    "again": "history.plot();",
    "own": "import matplotlib.pyplot; matplotlib.pyplot.plot([1, 2]);",
    "weights": "model.plot_weights().figure",
    "score": "model.score(X, X[:, 0] > 0)",
    "many": "nets = [*fastmlp.fit_many(X, X[:, 0] > 0, [fastmlp.Training(epochs=1)], progress=True)]",
    "estimator": """
import sklearn.exceptions
warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
fastmlp.MLPClassifier(max_iter=3, progress=True).fit(X[:200], X[:200, 0] > 0)
""",
    "plain": "fastmlp.fit(X, X[:, 0] > 0, scale=1, epochs=2)[1].final.epoch",
}


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[Any]]:
    """The outputs of each cell, as a notebook's file has them."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS.values()])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestOfANotebook:
    def test_a_bar_is_one_output_that_is_replaced(self, outputs):
        for name, told in {"fit": "12 epochs in ", "many": "1 net in ", "estimator": "3 epochs in "}.items():
            shown = [one for one in outputs[name] if one.output_type == "display_data"]
            assert len(shown) == 1, outputs[name]
            page = shown[0].data["text/html"]
            assert re.fullmatch(r'<div><progress value="1.0000" max="1"></progress> [^<]+</div>', page)
            assert f"> {told}" in page
            assert shown[0].data["text/plain"].startswith(told)

    def test_nothing_else_is_said(self, outputs):
        """No warning, and no advice to install widgets."""
        assert [
            one for cell in outputs.values() for one in cell if one.output_type in ("stream", "error")
        ] == []
        assert "widget" not in json.dumps(outputs)
        assert [one.output_type for one in outputs["plain"]] == ["execute_result"]

    def test_values_are_tables(self, outputs):
        for name, head in {
            "model": "Model 200-100-2 of 2 classes",
            "history": "History of 12 epochs",
        }.items():
            (shown,) = outputs[name]
            assert "<table" in shown.data["text/html"]
            assert head in shown.data["text/html"]
            assert shown.data["text/plain"].startswith(head)
            assert "\n" in shown.data["text/plain"]
        (several,) = outputs["list"]
        assert [line.strip(" [],") for line in several.data["text/plain"].splitlines()] == [
            "<Model 200-100-2 of 2 classes, after epoch 12>",
            re.search(r"<History.*?>", several.data["text/plain"])[0],
        ]

    def test_pictures_are_shown(self, outputs):
        for name in ("plot", "again", "own", "weights"):  # not the first one alone, nor ours alone
            assert [one for one in outputs[name] if "image/png" in one.data], name

    def test_a_score_is_a_number(self, outputs):
        assert 0.5 < float(outputs["score"][0].data["text/plain"]) <= 1


def test_states_of_a_notebook_follow_each_other(monkeypatch):
    """Without a kernel: what IPython would be asked to show."""
    shown: list[Any] = []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/html"])

    class Display:
        @staticmethod
        def display(content, raw, display_id):
            shown.append(content["text/html"])
            return Handle()

    class IPython:
        @staticmethod
        def get_ipython():
            return type("Shell", (), {"kernel": None})()

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.setitem(sys.modules, "IPython.display", Display)
    monkeypatch.setattr(bars, "_EVERY", 0.0)
    with bars.bar(2) as show:
        show(0.5)
        show(1, "loss <b>")
    assert [re.sub(r"[\d.]+ s\b", "N s", page) for page in shown] == [
        '<div><progress value="0.0000" max="1"></progress> epoch 0/2</div>',
        '<div><progress value="0.2500" max="1"></progress> epoch 1/2, N s left</div>',
        '<div><progress value="0.5000" max="1"></progress> epoch 1/2, loss &lt;b&gt;, N s left</div>',
        '<div><progress value="1.0000" max="1"></progress> 1 epoch in N s: loss &lt;b&gt;</div>',
    ]
    with suppress(KeyboardInterrupt), bars.bar(2) as show:
        show(1)
        raise KeyboardInterrupt
    assert shown[-1].startswith('<div><progress value="0.5000"')
    monkeypatch.setattr(bars, "_EVERY", 3600.0)
    shown.clear()
    with bars.bar(1000) as show:
        for epoch in range(1, 1001):
            show(epoch)
    assert len(shown) == 2
