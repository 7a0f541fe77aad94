"""The study as a whole, on a tiny data set: what it writes, going on after a stop, the page, the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from cli_runs import run, save_blobs, start, strict
from small_study import PLAN, dataset, evidence

from fastmlp import ConfigError, RunFolderError
from fastmlp.data import load
from fastmlp.diagnosis.curvature import Surface
from fastmlp.pictures import look
from fastmlp.study import experiments, measures, page, study, training
from fastmlp.study import run as study_run
from fastmlp.study.claims import judge
from fastmlp.study.store import NETS, Store, data_digest

pytest.importorskip("matplotlib")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study: its folder and its report."""
    folder = tmp_path_factory.mktemp("study")
    return folder, study(dataset(), folder, PLAN)


def test_it_writes_all_of_it(done, capsys):
    folder, report = done
    assert capsys.readouterr() == ("", "")
    assert {path.name for path in folder.iterdir()} == {NETS, "report.html", "report.json", "figures"}
    names = {
        "claims",
        "distribution",
        "mechanisms",
        "phase",
        "curvature",
        "law",
        "start",
        "dead",
        "pixels",
        "weights",
    }
    assert {path.stem for path in (folder / "figures").iterdir()} == names
    assert len((folder / NETS).read_text().splitlines()) == report["nets"] == len(PLAN.trainings())


def test_the_report_as_data(done):
    folder, report = done
    written = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    assert written == json.loads(json.dumps(report))
    assert set(written) == {
        "format", "command", "nets", "seconds_training", "data", "environment", "plan", "evidence",
        "judgements",
    }  # fmt: skip
    found = written["evidence"]
    like = evidence()
    assert set(found) == set(like)
    for name in ("start", "law", "curvature"):
        assert set(found[name]) == set(like[name])
    for name in ("distribution", "phase"):
        for key, value in found[name].items():
            assert set(value) == set(like[name][key])
    assert [set(cell) for cell in found["cells"]] == [set(cell) for cell in like["cells"]]
    assert [cell["seeds"] for cell in found["cells"]] == [2] * 21
    keys = {"code", "who", "said", "verdict", "because", "figure"}
    assert all(set(one) == keys for one in written["judgements"])
    assert written["judgements"] == [one.to_json() for one in judge(found)]


@pytest.mark.slow
def test_a_second_call_trains_nothing(done, tmp_path, monkeypatch):
    folder, report = done
    shutil.copytree(folder, tmp_path / "again")
    before = (tmp_path / "again" / NETS).read_bytes()
    monkeypatch.setattr(
        training, "fit_many", lambda X, y, trainings, **_: iter(pytest.fail(f"{net}") for net in trainings)
    )
    again = study(dataset(), tmp_path / "again", PLAN)
    assert again == report
    assert (tmp_path / "again" / NETS).read_bytes() == before


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(done, tmp_path):
    _, report = done

    def interrupt(work, all_work, nets, all_nets):
        if nets == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(dataset(), tmp_path, PLAN, progress=interrupt)
    kept = (tmp_path / NETS).read_bytes()
    assert kept.count(b"\n") == 5
    assert not (tmp_path / "report.html").exists()
    (tmp_path / NETS).write_bytes(kept[:-30])  # as after a kill in the middle of a line
    seen = []
    again = study(dataset(), tmp_path, PLAN, progress=lambda *now: seen.append(now))
    assert seen[0] == (0, seen[0][1], 0, report["nets"] - 4)
    assert seen[-1] == (pytest.approx(seen[0][1]), seen[0][1], report["nets"] - 4, report["nets"] - 4)
    assert again["evidence"] == report["evidence"]


@pytest.mark.slow
def test_without_pictures_there_are_no_pixels(tmp_path):
    study(dataset(pictures=False), tmp_path, replace(PLAN, seeds=2))
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert not names & {"pixels", "weights"}
    assert "dead" in names


def test_nothing_is_trained_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"must have matplotlib; got none installed.*fastmlp\[plot\]"):
        study(dataset(), tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_in_place_of_the_figures_folder_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "figures").symlink_to(tmp_path / "mine")
    with pytest.raises(RunFolderError, match="figures must be a folder; got a link"):
        study(dataset(), tmp_path / "study", PLAN)
    assert not list((tmp_path / "mine").iterdir())
    assert [path.name for path in (tmp_path / "study").iterdir() if path.is_file()] == [NETS]


def test_the_plan_has_every_seed_that_was_asked_for():
    full = experiments.Plan()

    def cost(trainings):
        return sum(map(experiments.cost, trainings))

    assert all(len(full.of_cell(cell)) >= 20 for cell in experiments.CELLS)
    assert [len(full.of_distribution(loss)) for loss in experiments.LOSSES[:2]] == [200, 100]
    assert len(experiments.CELLS) == 7 * 3
    known = full.trainings()
    assert len(set(known)) == len(known)
    assert set(experiments.quick(200).trainings()) <= set(known)
    assert sum(map(experiments.cost, experiments.quick(200).trainings())) < 0.1 * sum(
        map(experiments.cost, known)
    )
    with pytest.raises(ConfigError, match="seeds must be a whole number from 2"):
        experiments.Plan(seeds=1)


def test_the_scale_law_holds_byte_for_byte_and_needs_its_square():
    law = measures.scale_law(dataset(), 2, batch_size=50)
    assert law["raw"] == law["scaled"]
    assert law["raw_without_square"]["losses_sha256"] != law["raw"]["losses_sha256"]
    assert law["raw"]["losses"][0] != law["raw"]["losses"][1]


def test_curvature_is_what_power_iteration_finds():
    data = dataset(40)
    value = measures.curvature(data, 255.0, "relu", 20)
    surface = Surface(measures.first_net(data, 255), data.X[:20] / 255.0, data.y[:20])
    v = np.random.default_rng(0).normal(size=surface.size)
    for _ in range(200):
        v = surface.gauss_newton(v / np.linalg.norm(v))
    assert value == pytest.approx(np.linalg.norm(v), rel=1e-2)


# --- the page ---------------------------------------------------------------------------------------


def test_the_page_needs_no_network_and_has_no_script(done):
    folder, _ = done
    text = (folder / "report.html").read_text()
    assert "<script" not in text
    assert not re.findall(
        r'(?:src|xlink:href|href)="(?!#|data:image/png;base64,)([^"]*)"', text.replace(page.QUESTION, "#")
    )
    assert not re.findall(r"url\((?!#)|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert {a or b for a, b in targets} <= set(ids)


def test_text_from_outside_is_escaped(done):
    _, report = done
    report = json.loads(json.dumps(report))
    report["data"] |= {"name": "<b>x</b>", "source": '"<img>'}
    text = page.page(report, judge(report["evidence"]), {})
    assert "<b>x" not in text
    assert "<img" not in text


def test_the_short_answer_says_only_what_was_found(done):
    _, report = done
    for change, gone in (("supported", "to the byte"), ("not supported", "to the byte")):
        found = evidence()
        found["law"]["same"] = change == "supported"
        text = page.page(report | {"evidence": found}, judge(found), {})
        assert (gone in text) == (change == "supported")


def test_figures_are_svg_that_follow_the_colour_of_their_page(done):
    folder, _ = done
    for path in (folder / "figures").iterdir():
        text = path.read_text()
        root = ElementTree.fromstring(text)
        assert root.tag.endswith("svg")
        assert "currentColor" in text
        assert "prefers-color-scheme" in text
        assert look.INK not in text
        assert not re.search(r"(fill|stroke): #(000000|ffffff)(?=[^>]*/>\s*<text)", text)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_renders(done, tmp_path, width, dark):
    """In headless Chromium: no complaint, no figure without size, nothing wider than the window."""
    folder, _ = done
    probe = """<script>addEventListener("load", () => {
      const boxes = [...document.querySelectorAll("figure svg")].map(s => s.getBoundingClientRect());
      document.title = JSON.stringify({wide: document.documentElement.scrollWidth, window: innerWidth,
        figures: boxes.length, least: Math.min(...boxes.map(b => Math.min(b.width, b.height))),
        paper: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.querySelector("figure svg text")).fill}); });</script></body>"""
    copy = tmp_path / "page.html"
    copy.write_text((folder / "report.html").read_text().replace("</body>", probe))
    ran = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
            f"--window-size={width},900", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--enable-logging=stderr", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "CONSOLE" not in ran.stderr
    seen = json.loads(re.search(r"<title>(.*?)</title>", ran.stdout).group(1).replace("&quot;", '"'))
    assert seen["figures"] == 10
    assert seen["least"] > 60
    assert seen["wide"] <= seen["window"]
    assert seen["paper"] == ("rgb(22, 22, 22)" if dark else "rgb(255, 255, 255)")
    assert seen["ink"] == ("rgb(230, 230, 230)" if dark else "rgb(27, 27, 27)")


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(experiments, "quick", lambda seeds: replace(PLAN, seeds=seeds))


@pytest.mark.slow
def test_the_command(short, tmp_path):
    blobs, out = save_blobs(tmp_path), tmp_path / "out"
    args = ("study", "--quick", "--seeds", 2, "--data", blobs, "--out", out)
    first = run(*args)
    assert first.exit_code == 0
    assert first.stdout.splitlines()[-1] == f"Report: {out / 'report.html'}"
    assert "not supported  answer 2: with ReLU no probabilities are made" in first.stdout
    again = run(*args, "--json", "--quiet")
    assert again.stderr == ""
    report = strict(again.stdout)
    assert report["command"] == f"fastmlp study --quick --seeds 2 --data {blobs}"
    assert report["plan"]["seeds"] == 2
    assert report == json.loads((out / study_run.REPORT).read_text())


def test_the_command_refuses_before_anything_is_trained(short, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for args, message in (
        (("--seeds", 1), "seeds must be a whole number from 2"),
        (("--threads", 0), "threads must be"),
    ):
        refused = run("study", *args, "--out", out)
        assert refused.exit_code == 2
        assert message in refused.stderr
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    refused = run("study", "--out", out)
    assert refused.exit_code == 2
    assert 'Install it: pip install "fastmlp[plot]"' in refused.stderr
    (tmp_path / "file").write_text("in the way")
    monkeypatch.undo()
    assert not out.exists()
    out.mkdir()
    (out / "figures").write_text("in the way")
    refused = run("study", "--quick", "--data", save_blobs(tmp_path), "--out", out)
    assert refused.exit_code == 1
    assert "figures must be a folder" in refused.stderr
    assert (out / NETS).read_text() == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_the_command_can_be_stopped_and_goes_on(tmp_path, sent):
    blobs, out = save_blobs(tmp_path), tmp_path / "out"
    process = start("study", "--quick", "--data", blobs, "--out", out)
    deadline = time.monotonic() + 60
    while not (out / NETS).exists() or (out / NETS).read_bytes().count(b"\n") < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith("Interrupted.\n")
    plan = experiments.quick(200)
    with Store(out, data_digest(load(str(blobs)))) as kept:
        found = sum(kept.get(training) is not None for training in plan.trainings())
    assert 4 <= found < len(plan.trainings())
