"""Labels are called unrelated to the inputs where they are, and nowhere else; a net at chance is found."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from cli_runs import run
from labelled_tables import FEW, RELATED, TABLES, UNRELATED, permuted, unequal

import fastmlp
from fastmlp.diagnosis.chance import even, skill, spread, standing
from fastmlp.diagnosis.findings import Finding
from fastmlp.diagnosis.relation import relation
from fastmlp.diagnosis.trials import Trial
from fastmlp.diagnosis.unlearnt import guesses, unlearnt

NET = {"scale": 1.0, "epochs": 5, "hidden": 8, "seconds": 3.0, "optimizer": "sgd", "batch_size": 100}
SOME = TABLES[1::9]  # of the tables, in the fast tests


def looked_at(table):
    X, y = table.table()
    return relation(X if hasattr(X, "nnz") else X.astype(np.float32), y, int(y.max()) + 1)


def told(found):
    return {finding.code: finding.severity for finding in found.findings}


def unequal_table(rows=3000):
    g = np.random.default_rng(0)
    X = np.column_stack([g.normal(0, 1, rows), g.normal(0, 5000, rows)])
    return X, (X[:, 0] > 0).astype(int)


# --- how far from chance ----------------------------------------------------------------------------


def test_a_standing_knows_what_all_permutations_give():
    y, guesses_ = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 2, 3])
    recalls = [standing(guesses_, y[list(order)], 4).recall for order in itertools.permutations(range(6))]
    got = standing(guesses_, y, 4)
    assert got.recall == pytest.approx(np.mean([2 / 3, 1 / 2, 1]))
    assert got.sigmas == pytest.approx((got.recall - np.mean(recalls)) / np.std(recalls))


def test_naming_the_commonest_class_is_no_skill():
    y = np.array([0] * 95 + [1] * 5)
    got = standing(np.zeros(100, int), y, 2)
    assert (got.recall, got.skill, got.sigmas) == (0.5, 0, 0)
    assert guesses(got)


def test_skill_is_0_for_guessing_and_1_for_all_right():
    assert [skill(recall, 4) for recall in (0.25, 1.0)] == [0, 1]
    y = np.arange(200) % 4
    skills = [standing(np.random.default_rng(s).integers(0, 4, 200), y, 4).skill for s in range(500)]
    assert np.std(skills) == pytest.approx(spread(y), rel=0.1)
    assert standing(y, y, 4).skill == 1
    assert not guesses(standing(y, y, 4))


def test_one_class_alone_shows_nothing():
    got = standing(np.array([0, 1]), np.array([0, 0]), 2)
    assert np.isnan(got.skill)
    assert not guesses(got)


def test_even_guesses_undo_unequal_classes():
    p = np.array([[0.9, 0.1], [0.97, 0.03]])
    assert even(p, np.array([95, 5])).tolist() == [1, 0]


# --- the looks --------------------------------------------------------------------------------------


def right(table, seen):
    return seen.seen if table.kind == RELATED else not seen.seen and seen.enough == (table.kind == UNRELATED)


@pytest.mark.parametrize("table", SOME, ids=lambda table: table.name)
def test_a_relation_is_seen_where_there_is_one(table):
    assert right(table, looked_at(table))


@pytest.mark.slow
def test_a_relation_is_seen_in_every_table_that_has_one():
    """Of random labels, one in fifty looks related by luck."""
    assert len(TABLES) >= 50
    wrong = [table for table in TABLES if not right(table, looked_at(table))]
    assert not [table.name for table in wrong if table.kind == RELATED]
    assert len(wrong) <= 1, [table.name for table in wrong]


@pytest.mark.slow
@pytest.mark.parametrize(
    "table", [t for t in TABLES if t.kind != FEW and t.learnt < 1], ids=lambda table: table.name
)
def test_the_tables_are_what_they_are_said_to_be(table):
    got = table.learnt_by_a_good_net()
    assert got >= table.learnt if table.kind == RELATED else got <= table.learnt


@pytest.mark.slow
def test_permuted_labels_are_seldom_seen():
    """At most 2 of 100, as the level says: 6 or more of 100 come once in 60 times."""
    seen = 0
    for seed in range(100):
        X, y = permuted(unequal(2 + seed % 9, 100))(np.random.default_rng(seed), 400)
        seen += relation(X, y.astype(int), 2).seen
    assert seen < 6


def test_no_unit_weighs():
    """The very same figures for columns times 1e-30 to 1e30, moved, or bent."""
    g = np.random.default_rng(1)
    X = g.integers(-500, 500, (300, 4)) / 256
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    want = relation(X, y, 2)
    assert want.seen
    assert relation(X * [1e-30, 1e30, 1, 2**20], y, 2) == want
    assert relation(X + 4096, y, 2) == want
    assert relation(np.exp(50 * X), y, 2) == want


def test_a_row_is_no_neighbour_of_itself_nor_of_its_copy():
    g = np.random.default_rng(2)
    X, y = g.normal(size=(300, 2)), g.integers(0, 2, 300)
    alone = relation(X, y, 2)
    assert not alone.seen
    assert alone.permuted == pytest.approx(0.48, abs=0.03)  # 0.6 with its own vote among fifteen
    twice = relation(np.concatenate([X, X]), np.concatenate([y, y]), 2)
    assert twice.rows == 300
    assert not twice.seen
    other = relation(np.concatenate([X, X]), np.concatenate([y, 1 - y]), 2)
    assert other.rows == 600  # the same rows with other labels are no copies


def test_where_a_row_stands_says_nothing():
    """Rows sorted by their labels, and all alike: ties among neighbours are not broken by the order."""
    for X in (np.zeros((1000, 3)), np.tile(np.arange(4.0), 250)[:, None]):
        seen = relation(X, np.arange(1000) // 500, 2)
        assert not seen.seen


def test_rows_that_cannot_show_it():
    g = np.random.default_rng(3)
    for rows, K, enough in ((1000, 2, False), (1700, 2, True), (200, 10, True), (60, 30, False)):
        assert relation(g.normal(size=(rows, 3)), np.arange(rows) % K, K).enough == enough
    rare = (np.arange(1700) % 20 == 0).astype(int)  # 85 rows of one class
    assert not relation(g.normal(size=(1700, 3)), rare, 2).enough
    assert not relation(np.zeros((2, 1)), np.arange(2), 2).seen


def test_sparse_rows_are_not_made_dense():
    sparse = pytest.importorskip("scipy.sparse")
    g = np.random.default_rng(4)
    X = sparse.random_array((2000, 100_000), density=2e-4, rng=g, format="csr", dtype=np.float32)
    y = g.integers(0, 2, 2000)
    marks = sparse.csr_array(
        (np.full(2000, 9e5, np.float32), y * 5 + g.integers(0, 5, 2000), np.arange(2001)), shape=X.shape
    )
    tracemalloc.start()
    try:
        assert relation((X + marks).tocsr(), y, 2).seen
        assert not relation((X + marks).tocsr(), g.permutation(y), 2).seen
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300e6  # dense, they are 1.6e9


# --- the diagnosis ----------------------------------------------------------------------------------


def test_columns_of_unequal_scale_have_healthy_labels():
    """The net hears the wide column alone, and so did the class means that it was compared with."""
    X, y = unequal_table()
    for scale in (255.0, 1.0):
        found = fastmlp.diagnose(X, y, scale=scale, optimizer="sgd", epochs=15, batch_size=100, seconds=60)
        assert "labels-unrelated" not in told(found)
        worst = found.findings[0]
        assert (worst.code, worst.severity, worst.settings) == (
            "columns-unequal",
            "severe",
            {"scale": "standard"},
        )
        assert worst.after > 0.9
        assert found.recommended["scale"] == "standard"
        assert "one column spreads by 4.94e+03, half of them by 0.993 at most" in found.verdict
    x = (X / X.std(axis=0)).astype(np.float32)
    good = fastmlp.diagnose(x, y, scale=1.0, lr=0.1, hidden=8, epochs=5, seconds=60)
    assert not good.severe


def test_permuted_labels_are_unrelated():
    X, y = unequal_table()
    found = fastmlp.diagnose(X, np.random.default_rng(1).permutation(y), scale=255, epochs=3, seconds=60)
    assert told(found)["labels-unrelated"] == "severe"
    assert found.findings[0].code == "labels-unrelated"
    assert not found.recommended
    assert all(finding.severity == "note" for finding in found.findings[1:])


@pytest.mark.parametrize("rows", [20, 60])
def test_few_rows_are_never_called_unrelated(rows):
    X, y = permuted(unequal(3, 10))(np.random.default_rng(rows), rows)
    found = fastmlp.diagnose(X, y.astype(int), **NET)
    assert "labels-unrelated" not in told(found)


def test_a_net_that_gives_one_answer_is_severe_on_few_rows_too():
    """60 rows about four corners, which neighbours see and 5 steps of so small a net do not."""
    corners = np.repeat([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], 15, axis=0)
    X = corners + np.random.default_rng(5).normal(0, 0.05, corners.shape)
    y = (corners.prod(axis=1) < 0).astype(int)
    found = fastmlp.diagnose(X.astype(np.float32), y, act="sigmoid", lr=0.1, **NET)
    assert told(found)["does-not-train"] == "severe"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_modest_signal_is_not_severe(seed):
    """Nobody could recognise more than 0.62 of a class."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(3000, 4)).astype(np.float32)
    y = ((X[:, 0] > 0) ^ (g.random(3000) > 0.62)).astype(int)
    found = fastmlp.diagnose(X, y, scale=1.0, lr=0.1, hidden=8, epochs=5, seconds=60)
    assert not found.severe, found.verdict


@pytest.mark.slow
@pytest.mark.parametrize("rows", [30, 60, 200, 2000])
@pytest.mark.parametrize("best", [0.6, 0.65, 0.75])
def test_a_healthy_net_does_not_fail_to_train(rows, best):
    severe = 0
    for seed in range(5):
        g = np.random.default_rng(1000 * seed + rows)
        X = g.normal(size=(rows, 4)).astype(np.float32)
        y = ((X[:, 0] > 0) ^ (g.random(rows) > best)).astype(int)
        words = {"optimizer": "sgd", "lr": 0.1, "batch_size": 10, "epochs": 15}
        found = fastmlp.diagnose(X, y, scale=1.0, hidden=8, seconds=60, **words)
        codes = told(found)
        assert "labels-unrelated" not in codes
        severe += codes.get("does-not-train") == "severe"
    assert severe <= 1


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_under_a_net_that_knows_nothing_of_units(table):
    X, y = table.table()
    found = fastmlp.diagnose(X, y, **NET)
    codes = told(found)
    stood = [trial.standing for trial in found.trials if trial.standing is not None]
    chance = all(guesses(one) for one in stood)
    if table.kind == UNRELATED:
        assert found.findings[0].code == "labels-unrelated", found.verdict
    else:
        assert "labels-unrelated" not in codes, found.verdict
    if chance and table.kind == RELATED and table.rows > 60:  # a weak relation may be said to be one
        assert found.severe or (table.learnt <= 0.7 and "a weak relation" in found.verdict), found.verdict
    if chance:
        assert "nothing that was measured" not in found.verdict


def at(recall, rows):
    """How a net stands that recognises so much of each of two classes, on so many rows."""
    y = np.arange(rows) % 2
    return standing(np.where(np.arange(rows) // 2 < recall * rows // 2, y, 1 - y), y, 2)


KNOWN = unequal_table(1700)
RANDOM = KNOWN[0], np.random.default_rng(11).permutation(KNOWN[1])
SOME_ROWS, FEW_ROWS = ((RANDOM[0][:n], RANDOM[1][:n]) for n in (1000, 60))
LOST, MAYBE, NO_SENSE = (False, True), (False, False), (True, True)  # unrelated, severe
JUDGED = {  # data; on rows held out; on its training rows, None where it diverged; what is said
    "guesses where neighbours see": (KNOWN, at(0.5, 400), at(0.5, 2000), LOST),
    "hardly better than guessing": (KNOWN, at(0.6, 2000), at(0.6, 2000), LOST),
    "diverges, whatever is changed": (KNOWN, None, None, None),
    "learns": (KNOWN, at(0.7, 2000), at(0.7, 2000), None),
    "learns, on few rows": (KNOWN, at(0.8, 10), at(0.8, 50), None),
    "random labels": (RANDOM, at(0.5, 400), at(0.5, 2000), NO_SENSE),
    "random labels, learnt by heart": (RANDOM, at(0.5, 400), at(1.0, 2000), NO_SENSE),
    "modest where nothing is seen": (RANDOM, at(0.6, 2000), at(0.6, 2000), None),
    "few random labels": (FEW_ROWS, at(0.5, 10), at(0.5, 50), MAYBE),
    "some random labels": (SOME_ROWS, at(0.5, 400), at(0.5, 1000), LOST),
    "some, learnt by heart": (SOME_ROWS, at(0.5, 400), at(1.0, 1000), LOST),
    "some, learnt a little": (SOME_ROWS, at(0.5, 400), at(0.6, 1000), MAYBE),
    "some, after a divergence": (SOME_ROWS, at(0.5, 400), None, LOST),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_is_said_of_a_net_that_nothing_cured(name):
    (X, y), held_out, fitted, want = JUDGED[name]
    trials = [Trial({}, 1, 0.5, standing=held_out), Trial({"lr": 1.0}, 1, 0.5, standing=held_out)]
    got = unlearnt(trials, fitted, False, lambda: relation(X, y, 2))
    assert (got and (got.unrelated, got.severe)) == want


def test_a_net_that_a_change_cures_has_its_cause():
    trials = [Trial({}, 1, 0.5, standing=at(0.5, 400)), Trial({"lr": 1.0}, 1, 0.9, standing=at(0.9, 400))]
    assert unlearnt(trials, at(0.5, 2000), True, lambda: relation(*KNOWN, 2)) is None


# --- how it is told ---------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A board of black and white squares: neighbours see it, and a small net does not learn it."""
    X = np.random.default_rng(0).uniform(-1.7, 1.7, (1500, 2))
    y = np.floor(2 * X).sum(axis=1) % 2
    path = tmp_path / "table.csv"
    np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,label", comments="", fmt="%.8g")
    return path


def test_the_command_says_it(data, tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--scale", "1", "--epochs", "3", "--hidden", "8", "--seconds", "2", "--quiet")
    picture = tmp_path / "why.html"
    result = run("diagnose", "--data", data, "--plot", picture, *options)
    assert result.exit_code == 1
    assert result.stdout.startswith("severe     does-not-train\n  measured ")
    assert "Cause not found" in result.stdout
    assert "  change   none found; tried: " in result.stdout
    assert "none found; tried" in picture.read_text()
    report = json.loads(run("diagnose", "--data", data, "--json", *options).stdout)
    worst = report["findings"][0]
    assert (worst["code"], worst["severity"]) == ("does-not-train", "severe")
    assert set(worst["values"]) >= {"held_out", "training_rows", "neighbours", "p", "tried"}
    assert all("balanced" in trial for trial in report["trials"])


def test_advice():
    plain = Finding(
        "does-not-train", "severe", "", "", "", values={"tried": {"use lr 1": 0.5, "use lr 9": None}}
    )
    assert plain.advice == "none found; tried: use lr 1 (0.500), use lr 9 (diverged)"
    assert Finding("inputs-constant", "severe", "", "", "").advice == "no setting helps"
    assert Finding("lr-too-low", "note", "", "", "").advice == "none needed"
    changed = Finding("lr-too-low", "severe", "", "", "", "use lr 1", {"lr": 1.0}, None, 0.9)
    assert changed.advice == "use lr 1: accuracy diverged -> 0.900"


def test_units_are_no_cause_where_each_column_is_scaled_by_itself():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(300, 4)) * [1e4, 1, 1, 1]
    found = fastmlp.diagnose({f"c{j}": X[:, j] for j in range(4)}, draw.permutation([0, 1] * 150), epochs=2)
    assert "look next at outliers" in found.verdict
    assert "units of the columns" not in found.verdict
