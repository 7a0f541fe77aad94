"""Every picture that the project makes or ships: its words are there, once, in its frame, and stand clear."""

from __future__ import annotations

import json
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_runs import blobs
from pages import ROOT, module_at
from small_study import dataset, evidence

pytest.importorskip("matplotlib")

from figure_faults import faults
from matplotlib.figure import Figure

import fastmlp
from fastmlp import pictures
from fastmlp.diagnosis import picture
from fastmlp.pictures import look
from fastmlp.study import figures
from fastmlp.study.measures import Portrait

plots = module_at("bench/plots.py")
NUMBERS = json.loads((ROOT / "bench" / plots.NUMBERS).read_text())
SHIPPED = sorted(path.stem for path in (ROOT / "bench").glob("*.svg"))
COLOURS = (look.BLUE, look.VERMILION, look.GREEN, look.PURPLE, look.GREY)


def words(svg: str) -> list[str]:
    """The texts of an SVG, in its order."""
    root = ElementTree.fromstring(svg)
    return ["".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def luminance(colour: str) -> float:
    """By WCAG, from #rrggbb."""
    shares = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, other: str) -> float:
    """By WCAG, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# --- what reads a figure goes red --------------------------------------------------------------------


def whole() -> tuple[Figure, object]:
    """A figure without a fault."""
    figure = Figure((4, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 3, 2])
    axes.set(xlabel="step", ylabel="loss", title="The loss falls")
    return figure, axes


def test_a_figure_without_a_fault():
    assert faults(whole()[0]) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda axes: axes.text(2, 2.95, "a label on the curve"), "runs into a line or a bar"),
        (lambda axes: axes.annotate("on it", (1.4, 1.9)), "runs into a line or a bar"),
        (lambda axes: axes.barh([1], [3], height=1) and axes.text(1, 1, "on a bar"), "a line or a bar"),
        (lambda axes: axes.scatter([2], [1.5]) and axes.text(1.9, 1.47, "on a dot"), "a line or a bar"),
        (lambda axes: [axes.text(1, 2.9 + d, "words", clip_on=False) for d in (0, 0.05)], "runs into Text"),
        (lambda axes: axes.text(2.9, 3.5, "beyond the right edge of it all", in_layout=False), "the frame"),
        (lambda axes: axes.set_yticks([1, 1.4, 2], ["1", "1", "2"]), "has '1' twice"),
        (lambda axes: axes.set_xticks([1, 1.05, 3], ["1,000", "1,001", "3"]), "runs into Text"),
        (lambda axes: axes.set_title(""), "no headline"),
        (lambda axes: axes.set_xlabel(""), "has numbers and no name"),
        (lambda axes: axes.axhline(2.95) and axes.legend(["by its place"], loc="upper center"), "a line"),
    ],
)  # fmt: skip
def test_what_reads_a_figure_goes_red(spoil, said):
    figure, axes = whole()
    spoil(axes)
    assert any(said in fault for fault in faults(figure)), faults(figure)


# --- the pictures that the repository ships ---------------------------------------------------------


def test_every_shipped_picture_has_its_numbers():
    assert sorted(NUMBERS) == SHIPPED == sorted(plots.DRAWN)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_picture_can_be_read(name):
    with pictures.style():
        assert faults(plots.DRAWN[name](**NUMBERS[name])) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_picture_is_that_of_its_numbers(name):
    shipped = (ROOT / "bench" / f"{name}.svg").read_text()
    assert words(shipped) == words(plots.svg(name, NUMBERS[name]))
    assert "prefers-color-scheme:dark" in shipped
    assert "currentColor" in shipped
    assert look.INK not in shipped
    assert not re.search(r"<metadata|<!DOCTYPE|<script", shipped)


def test_numbers_are_kept_beside_the_others_to_four_digits(tmp_path):
    (tmp_path / plots.NUMBERS).write_text('{"other": {"x": 1}}')
    numbers = NUMBERS["threads"] | {"dense": {1: 365_712.345, 2: 724_212.3}}
    plots.draw("threads", tmp_path, **numbers)
    kept = json.loads((tmp_path / plots.NUMBERS).read_text())
    assert kept["other"] == {"x": 1}
    assert kept["threads"]["dense"] == {"1": 365_700.0, "2": 724_200.0}
    assert words((tmp_path / "threads.svg").read_text())


def test_more_threads_and_tools_can_be_read():
    """On machines of other sizes."""
    counts = [1, 2, 4, 8, 16, 32, 64, 96]
    rates = {str(n): 9e5 * n**0.8 for n in counts}
    limit = {str(n): 1.9e6 * n for n in counts}
    rows = NUMBERS["rivals"]["rows"] + [
        {"label": f"Another tool, {n} processes", "ours": False, "rate": 900.0 / n, "times": 2e3}
        for n in (1, 3)
    ]
    with pictures.style():
        assert faults(plots.threads({"team": rates, "prange": rates}, limit, limit)) == []
        assert faults(plots.rivals(rows, 723_700.0, 3_756_000.0)) == []


# --- the study's ------------------------------------------------------------------------------------


def portrait(dead: int, scale: float) -> Portrait:
    """Of a net of 12 units on 8 x 8 pixels, of which the first so many are dead."""
    draws = np.random.default_rng(3)
    units = np.arange(12) < dead
    before = draws.normal(size=(30, 12))
    after = np.where(units, -np.abs(before) - 1, 3 * before)
    return Portrait(scale, 0.5, draws.normal(size=(64, 12)), units, before, after)


@pytest.mark.parametrize(
    "dead", [7, pytest.param(0, marks=pytest.mark.slow), pytest.param(12, marks=pytest.mark.slow)]
)
def test_the_studys_figures_can_be_read(dead):
    nets = {"raw": portrait(dead, 1.0), "255": portrait(0, 255.0)}
    drawn = figures.every(evidence(), nets, dataset(60))
    assert len(drawn) == 10
    for name, draw in drawn.items():
        if name not in figures.CHARTS or dead == 7:  # charts have nothing of the portraits
            with pictures.style():
                assert faults(draw()) == [], name


# --- the diagnosis' ---------------------------------------------------------------------------------


SETTINGS = [{"scale": 1, "lr": 1.0}, {}, {"act": "sigmoid", "lr": 1e-4}, {"optimizer": "adam"}]


@pytest.fixture(
    scope="module", params=[SETTINGS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in SETTINGS[1:])]
)
def diagnosis(request):
    """Nets that diverge, train, and stand still."""
    X, y = blobs(300)
    return fastmlp.diagnose(X, y, epochs=3, hidden=8, seconds=60.0, **request.param)


@pytest.mark.slow
def test_a_diagnosis_can_be_read(diagnosis):
    with pictures.style():
        whole = pictures.figure(6.6, 9.0)
        axes = picture.draw(diagnosis, whole)
        assert axes.shape == (2, 2)
        assert faults(whole) == []
        for name, panel in picture.PANELS.items():
            figure = pictures.figure(3.3)
            panel(figure.subplots(), diagnosis)
            assert faults(figure) == [], name


def test_a_small_curvature_is_drawn_as_it_is():
    """Where it bounds no step, the limit of plain SGD is no floor either."""
    X, y = blobs(300)
    found = fastmlp.diagnose(X, y, epochs=2, hidden=8, seconds=60.0, optimizer="adam", lr=1e-4)
    measured = [one.gauss_newton for one in found.trajectory if one.gauss_newton is not None]
    with pictures.style():
        axes = pictures.figure(3.3).subplots()
        picture.PANELS["curvature"](axes, found)
    (line,) = axes.lines
    assert max(measured) < 2 / 1e-4
    assert line.get_ydata() == pytest.approx(measured)


def test_the_page_of_a_diagnosis(diagnosis):
    text = picture.page(diagnosis)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.count("<svg") == len(picture.PANELS) == text.count("aria-label")
    assert all(finding.code in text for finding in diagnosis.findings)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert "prefers-color-scheme: dark" in text


# --- the look of all of them ------------------------------------------------------------------------


def test_colours_are_seen_on_light_and_dark_pages():
    for colour in COLOURS[:3] + COLOURS[4:]:
        assert contrast(colour, "#ffffff") > 3.3, colour
        assert contrast(colour, "#161616") > 3.3, colour
    assert contrast(look.PURPLE, "#ffffff") > 2.9
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


# Machado, Oliveira and Fernandes (2009): what is seen without the cones of red, of green, of blue
BLIND = {
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deutan": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritan": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}  # fmt: skip


@pytest.mark.parametrize("kind", BLIND)
def test_colours_are_told_apart_without_some_cones(kind):
    """The three that stand side by side; green and red, as a check of the check, are not."""

    def seen(colour: str) -> np.ndarray:
        shares = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        return np.array(BLIND[kind]) @ shares

    def apart(one: str, other: str) -> float:
        return float(np.linalg.norm(seen(one) - seen(other)))

    pairs = [(look.BLUE, look.VERMILION), (look.BLUE, look.GREEN), (look.VERMILION, look.GREEN)]
    assert min(apart(*pair) for pair in pairs) > 0.15
    if kind == "deutan":
        assert apart("#8f9f20", "#c08520") < 0.15


def test_a_file_of_its_own_is_light_or_dark_as_its_reader_prefers():
    with pictures.style():
        figure = pictures.figure(2.0)
        axes = figure.subplots()
        axes.plot([1, 2], [1, 2])
        pictures.headline(axes, 'It goes "up" & up')
        svg = pictures.svg(figure, "up")
    assert svg == pictures.svg(figure, "up")  # the same bytes
    root = ElementTree.fromstring(pictures.alone(svg))
    assert root.get("aria-label") == 'It goes "up" & up'
    assert "background" not in svg
    assert "background:#161616" in pictures.alone(svg)
    assert pictures.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(8))
def test_no_two_ticks_of_a_logarithmic_axis_have_the_same_words(seed):
    draws = np.random.default_rng(seed)
    low = 10 ** draws.uniform(-8, 4)
    high = low * 10 ** draws.uniform(0.1, 9)
    for write in (pictures.timed, pictures.counted):
        with pictures.style():
            axes = pictures.figure(2.0).subplots()
        axes.set(yscale="log", ylim=(low, high))
        pictures.logarithmic(axes.yaxis, low, high, write)
        told = [label.get_text() for label in axes.yaxis.get_ticklabels()]
        assert len(told) == len(set(told)) <= 9
        assert len(told) >= 2


def test_times_and_counts():
    times = [pictures.timed(seconds) for seconds in (0, 2e-9, 3e-4, 1e-3, 0.02, 1, 90)]
    assert times == ["0 s", "2 ns", "300 µs", "1 ms", "20 ms", "1 s", "90 s"]
    assert [*map(pictures.counted, (4, 1000, 10_000, 1.5e6))] == ["4", "1,000", "10 k", "1.5 M"]
    assert pictures.apart([1, 2, 4, 8, 16], 0.5) == [1, 4, 16]
    assert math.isfinite(pictures.WIDTH)
