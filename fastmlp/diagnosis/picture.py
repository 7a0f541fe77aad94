"""A diagnosis as a picture and as a page: what was measured as it trained, and what each change did.

Each panel's headline says what is seen in it. Needs matplotlib. Nothing is measured here.
"""

from __future__ import annotations

import html
import os
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastmlp import pictures
from fastmlp.checks import shown
from fastmlp.diagnosis.findings import in_words
from fastmlp.diagnosis.trials import Snapshot
from fastmlp.errors import ConfigError
from fastmlp.files import path_of, write_whole
from fastmlp.pictures import BLUE, GREEN, GREY, VERMILION, headline
from fastmlp.words.optimizers import PLAIN

if TYPE_CHECKING:
    from fastmlp.diagnosis.report import Diagnosis

SUFFIXES = (".png", ".svg", ".html")
HEIGHT = 3.3  # inches of a panel
_FLAT = 1e-3  # of the limit, or of the largest: curvature below it is drawn there
_MARKED = 25  # epochs, of which each has a mark
_WATCHED = 20  # first steps, each of which is as wide as the others
_STEPS = (0, 5, 10, 20, 100, 1000, 10_000, 100_000, 1_000_000)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --dim: #5c5c5c; --line: #d0d0d0;
  --severe: #b3261e; --warning: #8a5600; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --dim: #a5a5a5;
  --line: #444444; --severe: #ff8a80; --warning: #e5b454; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.1rem; margin: 0 0 .4rem; }
.dim, dt { color: var(--dim); }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem;
  margin: 1.5rem 0; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
section { border-top: 1px solid var(--line); padding: .8rem 0; }
dl { display: grid; grid-template-columns: 6.5rem 1fr; gap: .2rem .6rem; margin: 0; } dd { margin: 0; }
.severe { color: var(--severe); } .warning { color: var(--warning); }
"""


def check(path: str | os.PathLike[str]) -> None:
    """Raise ConfigError where no picture can be made, or not of that name."""
    if path_of("plot", path, ConfigError).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"plot must end in {', '.join(SUFFIXES)}", shown(path), "for example why.png")
    pictures.check("plot")


def save(found: Diagnosis, path: str | os.PathLike[str]) -> None:
    """Write it as .png, .svg, or a page of its own with the findings, .html. Raises ConfigError, OSError."""
    check(path)
    path = path_of("plot", path, ConfigError)
    kind = path.suffix.lower()
    if kind == ".html":
        write_whole(path, page(found).encode())
        return
    with pictures.style():
        figure = pictures.figure(2 * HEIGHT, 2 * pictures.WIDTH)
    draw(found, figure)
    content = (
        pictures.png(figure) if kind == ".png" else pictures.alone(pictures.svg(figure, "diagnosis")).encode()
    )
    write_whole(path, content)


def page(found: Diagnosis) -> str:
    """Return HTML that needs nothing else: the verdict, a figure a panel, a block a finding."""
    drawn = []
    for name, panel in PANELS.items():
        with pictures.style():
            figure = pictures.figure(HEIGHT)
            panel(figure.subplots(), found)
        drawn.append(f"<figure style='margin:0'>{pictures.svg(figure, name)}</figure>")
    blocks = "".join(
        f"<section><h2 class={finding.severity}>{finding.severity}: <code>{finding.code}</code></h2><dl>"
        + "".join(
            f"<dt>{name}<dd>{html.escape(text)}"
            for name, text in (
                ("measured", finding.measured), ("healthy", finding.healthy), ("why", finding.why),
                ("change", finding.advice),
            )
            if text
        )
        + "</dl></section>"
        for finding in found.findings
    )  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Diagnosis</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Why does it not train?</h1>"
        f'<p class="dim">{html.escape(found.training.in_words())}</p>'
        f"<p><strong>{html.escape(found.verdict)}</strong></p>"
        f'<div class="panels">{"".join(drawn)}</div>{blocks}</body></html>\n'
    )


def draw(found: Diagnosis, figure: Any, *, ink: bool = True) -> Any:
    """Draw the four panels into an empty figure of matplotlib's, and return their axes (2, 2).

    ink: as in ``pictures.style``.
    """
    import numpy as np

    axes = np.empty((2, 2), dtype=object)
    with pictures.style(ink=ink):
        places = figure.subfigures(2, 2, wspace=0.04, hspace=0.04)
        for place, panel, at in zip(places.ravel(), PANELS.values(), np.ndindex(2, 2), strict=True):
            place.patch.set_alpha(0)
            place.savefig = figure.savefig  # which a part has not: people write ax.figure.savefig
            axes[at] = place.subplots()
            panel(axes[at], found)
    return axes


def _seen(found: Diagnosis) -> list[Snapshot]:
    return [snapshot for snapshot in found.trajectory if snapshot.not_finite is None]


def _series(seen: list[Snapshot], name: str, pick: Any = lambda value: value) -> tuple[list[int], list[Any]]:
    chosen = [(one.step, value) for one in seen if (value := getattr(one, name)) is not None]
    return [step for step, _ in chosen], [pick(value) for _, value in chosen]


def _by_step(panel: Any, seen: list[Snapshot]) -> None:
    """Give the first steps room of their own, and the later ones a logarithmic axis."""
    last = max(25, seen[-1].step)
    panel.set_xscale("symlog", linthresh=_WATCHED)
    panel.set_xlim(0, last)
    panel.set_xticks([step for step in _STEPS if step <= last], minor=False)
    panel.xaxis.set_major_formatter(lambda step, _: pictures.counted(step))
    panel.xaxis.minorticks_off()
    panel.set_xlabel("step")


def _learning(panel: Any, found: Diagnosis) -> None:
    seen = _seen(found)
    steps, losses = _series(seen, "loss")
    panel.plot(steps, losses, color=BLUE, label="training loss")
    _by_powers(panel, losses)
    panel.set_ylabel("training loss")
    beside = panel.twinx()
    beside.spines.right.set_visible(True)
    beside.plot(*_series(seen, "accuracy"), color=VERMILION, linestyle="--", label="accuracy, training")
    steps, shares = _series(seen, "test_accuracy")
    mark = "o" if len(steps) <= _MARKED else ""
    beside.plot(steps, shares, f"{mark}-", color=VERMILION, markersize=3, label="held out")
    beside.set_ylim(0, 1)
    beside.set_ylabel("accuracy")
    _by_step(panel, seen)
    pictures.legend(panel, 3, beside)
    headline(panel.get_figure(root=False), _of_learning(found, seen))


def _of_learning(found: Diagnosis, seen: list[Snapshot]) -> str:
    if len(seen) < len(found.trajectory):
        return f"It diverges after step {seen[-1].step:,}"
    losses, right = _series(seen, "loss")[1], _series(seen, "test_accuracy")[1]
    said = f"The loss goes from {losses[0]:.3g} to {losses[-1]:.3g}" if losses else "No loss was measured"
    return f"{said}; {right[-1]:.1%} of the held-out rows are right" if right else said


def _curvature(panel: Any, found: Diagnosis) -> None:
    seen, limit = _seen(found), 2 / found.training.lr
    steps, values = _series(seen, "gauss_newton")
    plain = found.training.optimizer == PLAIN  # whose steps alone the curvature bounds
    flat = _FLAT * (limit if plain else max(values, default=0.0)) or 1.0
    values = [max(value, flat) for value in values]
    panel.plot(steps, values, "o-", color=BLUE, markersize=3, label="curvature")
    if plain:
        panel.axhline(limit, color=GREY, linestyle="--", label=f"2 / lr = {limit:.3g}: stable below")
    _by_powers(panel, values)
    panel.set_ylabel("top Gauss-Newton eigenvalue")
    _by_step(panel, seen)
    pictures.legend(panel)
    most = max(values, default=0.0) / limit
    if not values:
        said = "No curvature was measured"
    elif not plain:
        said = f"The curvature goes from {_round(values[0], 3)} to {_round(values[-1], 3)}"
    elif most > 1:
        said = f"The curvature reaches {_round(most)} times what the learning rate allows"
    else:
        said = "The curvature stays below what the learning rate allows"
    headline(panel.get_figure(root=False), said)


def _round(value: float, digits: int = 2) -> str:
    return f"{float(f'{value:.{digits}g}'):,g}"


def _by_powers(panel: Any, values: list[float]) -> None:
    """Give the panel a logarithmic axis with ticks in words."""
    panel.set_yscale("log")
    if values:
        low, high = panel.get_ylim()
        pictures.logarithmic(panel.yaxis, low, high, lambda value: f"{value:,g}")


def _shares(panel: Any, found: Diagnosis) -> None:
    seen, told = _seen(found), []
    for name, what, line in (("dead", "units are dead", "-"), ("saturated", "outputs are saturated", "--")):
        steps, shares = _series(seen, name, max)
        if steps:
            panel.plot(steps, shares, line, color=VERMILION, label=f"{name} {what.split()[0]}")
            told.append(f"{shares[-1]:.0%} of the {what}")
    steps, live = _series(seen, "live")
    panel.plot(steps, live, ":", linewidth=2, color=GREEN, label="live samples")
    if live:
        told.append(f"{live[-1]:.0%} of the samples are live")
    panel.set_ylim(-0.03, 1.03)
    panel.set_ylabel("share, of the worst layer")
    _by_step(panel, seen)
    pictures.legend(panel, 3)
    headline(
        panel.get_figure(root=False),
        f"In the end {', '.join(told)}" if told else "Neither units nor samples were counted",
    )


def _changes(panel: Any, found: Diagnosis) -> None:
    names = [in_words(trial.changes) or "as it is" for trial in found.trials]
    places = range(len(names))
    colors = [GREY, *[BLUE] * (len(names) - 1)]
    panel.barh(places, [trial.score for trial in found.trials], color=colors)
    texts = ["diverged" if t.accuracy is None else f"{t.accuracy:.3f}" for t in found.trials]
    panel.set_yticks(places, ["\n".join(textwrap.wrap(name, 28)) for name in names], fontsize=8)
    panel.set_ylim(max(len(names), 3) - 0.5, -0.5)
    panel.set_xlim(0, 1)
    panel.set_xlabel(f"held-out accuracy, {found.epochs} epoch{'s' * (found.epochs > 1)}")
    beside = panel.twinx()  # the values stand outside, where no line can cross them
    beside.set_ylim(panel.get_ylim())
    beside.set_yticks(places, texts)
    beside.tick_params(right=False)
    for lost in (finding.values for finding in found.findings if finding.code == "does-not-train"):
        panel.axvline(lost["neighbours"], color=VERMILION, linestyle="--", label="nearest neighbours")
        pictures.legend(panel)
    scores = [trial.score for trial in found.trials]
    best = scores.index(max(scores))
    said = f"Best: {names[best]}, {texts[best]}" if best else f"No change does better than it is, {texts[0]}"
    headline(
        panel.get_figure(root=False),
        said if len(names) > 1 else f"Nothing else was tried; as it is, {texts[0]}",
    )


PANELS: dict[str, Callable[[Any, Diagnosis], None]] = {
    "learning": _learning,
    "curvature": _curvature,
    "shares": _shares,
    "changes": _changes,
}
