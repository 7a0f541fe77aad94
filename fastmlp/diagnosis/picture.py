"""A diagnosis as a figure: what was measured as it trained, and what each change did. Needs matplotlib."""

from __future__ import annotations

import html
import io
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastmlp.checks import shown
from fastmlp.diagnosis.findings import in_words
from fastmlp.diagnosis.trials import Snapshot
from fastmlp.errors import ConfigError
from fastmlp.files import path_of, write_whole
from fastmlp.words.optimizers import PLAIN

if TYPE_CHECKING:
    from fastmlp.diagnosis.report import Diagnosis

SUFFIXES = (".png", ".svg", ".html")
_BLUE, _ORANGE, _GREEN, _GREY = "#2f6fb0", "#c8641b", "#3a8a4d", "#808080"
_FLAT = 1e-3  # of the limit: curvature below it is drawn there
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --line: #d0d0d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #444444; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top; }
svg { width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
.severe { color: #d0342c; font-weight: 600; }
"""


def check(path: str | os.PathLike[str]) -> None:
    """Raises ConfigError where no picture can be made, or not of that name."""
    if path_of("plot", path, ConfigError).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"plot must end in {', '.join(SUFFIXES)}", shown(path), "for example why.png")
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "plot must have matplotlib", "none installed", 'install it: pip install "fastmlp[plot]"'
        )


def save(found: Diagnosis, path: str | os.PathLike[str]) -> None:
    """Write it as .png, .svg, or a page of its own with the findings, .html. Raises ConfigError, OSError."""
    check(path)
    path = path_of("plot", path, ConfigError)
    kind = path.suffix.lower()
    content = drawing(found, "png" if kind == ".png" else "svg")
    write_whole(path, page(found, content).encode() if kind == ".html" else content)


def page(found: Diagnosis, svg: bytes) -> str:
    """HTML that needs nothing else."""
    rows = "".join(
        f"<tr><td class={finding.severity}>{finding.severity}<br><code>{finding.code}</code></td>"
        + "".join(
            f"<td>{html.escape(text)}</td>"
            for text in (finding.measured, finding.healthy, finding.why, finding.advice)
        )
        + "</tr>"
        for finding in found.findings
    )
    picture = svg.decode()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Diagnosis</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Why does it not train?</h1>"
        f"<p>{html.escape(found.training.in_words())}</p><p><strong>{html.escape(found.verdict)}</strong></p>"
        f"{picture[picture.index('<svg') :]}<table><tr><th>finding<th>measured<th>healthy<th>why"
        f"<th>change</tr>{rows}</table></body></html>\n"
    )


def drawing(found: Diagnosis, kind: str) -> bytes:
    """The figure as a file of that kind, ``png`` or ``svg``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure, out = Figure(figsize=(10, 7), layout="constrained"), io.BytesIO()
    draw(found, figure)
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context({"svg.hashsalt": "fastmlp"}):
        figure.savefig(out, format=kind, dpi=150, metadata=metadata)
    return out.getvalue()


def draw(found: Diagnosis, figure: Any) -> Any:
    """Four panels: loss and accuracy, curvature against its limit, shares of units and samples, changes.

    figure: matplotlib's, empty. Returns its axes (2, 2).
    """
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False}):
        panels = figure.subplots(2, 2)
        seen = [snapshot for snapshot in found.trajectory if snapshot.not_finite is None]
        _learning(panels[0, 0], seen)
        _curvature(panels[0, 1], seen, found)
        _shares(panels[1, 0], seen)
        _changes(panels[1, 1], found)
        for panel in (panels[0, 0], panels[0, 1], panels[1, 0]):
            panel.set_xscale("symlog", linthresh=20)
            panel.set_xlim(left=0)
            panel.set_xticks(
                [0, 5, 10, 20, 100, 1000, 10_000], ["0", "5", "10", "20", "100", "1,000", "10,000"]
            )
            panel.set_xlim(0, max(25, seen[-1].step))
            panel.set_xlabel("step")
    return panels


def _series(seen: list[Snapshot], name: str, pick: Any = lambda value: value) -> tuple[list[int], list[Any]]:
    chosen = [(one.step, value) for one in seen if (value := getattr(one, name)) is not None]
    return [step for step, _ in chosen], [pick(value) for _, value in chosen]


def _learning(panel: Any, seen: list[Snapshot]) -> None:
    panel.plot(*_series(seen, "loss"), color=_BLUE)
    panel.set_yscale("log")
    panel.set_ylabel("training loss", color=_BLUE)
    beside = panel.twinx()
    beside.plot(*_series(seen, "accuracy"), color=_ORANGE, linestyle="--")
    beside.plot(*_series(seen, "test_accuracy"), color=_ORANGE, marker="o", markersize=3)
    beside.set_ylim(0, 1)
    beside.set_ylabel("accuracy (-- training, o held out)", color=_ORANGE)
    panel.set_title("Learning")


def _curvature(panel: Any, seen: list[Snapshot], found: Diagnosis) -> None:
    limit = 2 / found.training.lr
    steps, values = _series(seen, "gauss_newton", lambda value: max(value, limit * _FLAT))
    panel.plot(steps, values, color=_BLUE, marker="o", markersize=3, label="curvature")
    if found.training.optimizer == PLAIN:
        panel.axhline(limit, color=_GREY, linestyle="--", label="2 / lr: stable below")
    panel.set_yscale("log")
    panel.set_ylabel("top Gauss-Newton eigenvalue")
    panel.legend(frameon=False)
    panel.set_title("Curvature")


def _shares(panel: Any, seen: list[Snapshot]) -> None:
    for name, color in (("dead", _ORANGE), ("saturated", _ORANGE)):
        if any(getattr(one, name) is not None for one in seen):
            panel.plot(*_series(seen, name, max), color=color, label=f"{name} units or outputs")
    panel.plot(*_series(seen, "live"), color=_GREEN, label="live samples")
    panel.set_ylim(-0.03, 1.03)
    panel.set_ylabel("share")
    panel.legend(frameon=False)
    panel.set_title("Units and samples")


def _changes(panel: Any, found: Diagnosis) -> None:
    names = [in_words(trial.changes) or "as it is" for trial in found.trials]
    places = range(len(names))
    colors = [_GREY, *[_BLUE] * (len(names) - 1)]
    bars = panel.barh(places, [trial.score for trial in found.trials], color=colors)
    texts = ["diverged" if t.accuracy is None else f"{t.accuracy:.3f}" for t in found.trials]
    panel.bar_label(bars, texts, padding=3)
    panel.set_yticks(places, [_wrapped(name) for name in names])
    panel.invert_yaxis()
    panel.set_xlim(0, 1.12)
    label = f"held-out accuracy, {found.epochs} epochs"
    for lost in (finding.values for finding in found.findings if finding.code == "does-not-train"):
        panel.axvline(lost["neighbours"], color=_ORANGE, linestyle="--")
        label += " (-- nearest neighbours)"
    panel.set_xlabel(label)
    panel.set_title("What was tried")


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 28))
