"""Models of tables: labels of any type, columns in any order, their file; no leak; the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from frame_forms import FORMS
from safetensors import safe_open
from scipy import sparse

import fastmlp
from fastmlp import Model, Training
from fastmlp.data import Dataset
from fastmlp.data.tables import from_frame
from fastmlp.errors import ConfigError, DataError, ModelError
from fastmlp.files import sealed
from fastmlp.study.run import study
from fastmlp.train.loop import parted

QUICK = {"hidden": 6, "epochs": 3, "batch_size": 16, "lr": 0.05, "seed": 2}
N = 90


def people(seed: int = 0, n: int = N) -> pd.DataFrame:
    """Ages with gaps, towns, whether somebody smokes; which of three groups, as text, and a rent."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 90, n).astype(float)
    town = draw.choice(["Bern", "Oslo, N", "Rome"], n)
    smokes = draw.random(n) < 0.4
    score = age / 30 + 2 * (town == "Rome") + smokes + draw.normal(size=n) / 5
    frame = pd.DataFrame({"age": age, "town": town, "smokes": smokes, "size": draw.normal(size=n) * 1e4})
    frame["group"] = np.array(["low", "mid", "top"])[np.digitize(score, [2, 3])]
    frame["rent"] = 500 + 100 * score
    frame.loc[draw.choice(n, 7, replace=False), "age"] = np.nan
    return frame


FRAME = people()
CLASSES, NUMBERS = FRAME.drop(columns="rent"), FRAME.drop(columns="group")


@pytest.fixture(scope="module")
def model() -> Model:
    return fastmlp.fit(CLASSES, "group", **QUICK)[0]


@pytest.fixture(scope="module")
def rents() -> Model:
    return fastmlp.fit(NUMBERS, "rent", **QUICK)[0]


def test_a_frame_and_a_name_are_enough():
    model, history = fastmlp.fit(CLASSES, "group", threads=1)
    assert history.final.train_accuracy > 0.8
    assert model.classes == ("low", "mid", "top")
    predicted = model.predict(CLASSES)
    assert predicted.dtype.kind == "U"
    assert (predicted == CLASSES["group"]).mean() == model.evaluate(CLASSES).accuracy > 0.8
    rents, _ = fastmlp.fit(NUMBERS, "rent", threads=1)
    assert rents.training.loss == "squared"
    assert rents.evaluate(NUMBERS).r2 > 0.8
    assert abs(rents.predict(NUMBERS) - NUMBERS["rent"]).mean() < 60


@pytest.mark.parametrize("form", FORMS)
def test_every_frame_trains_and_predicts_the_same(model, form):
    made = FORMS[form]
    other, _ = fastmlp.fit(made(CLASSES), "group", **QUICK)
    assert other.parameters.sha256() == model.parameters.sha256()
    assert other.columns == model.columns
    new = people(5, 20).drop(columns=["rent", "group"])
    assert np.array_equal(model.predict_proba(made(new)), model.predict_proba(new))
    assert np.array_equal(model.predict(made(new)), model.predict(new))


def test_columns_may_come_in_any_order_and_with_the_label(model):
    new = people(6, 30).drop(columns="rent")
    want = model.predict_proba(new)
    for names in (["size", "town", "age", "smokes"], ["group", "smokes", "town", "size", "age"]):
        assert np.array_equal(model.predict_proba(new[names]), want)
    assert model.columns.left_out(from_frame(new)) == ("group",)
    one = new.iloc[[3]]
    assert np.array_equal(model.predict_proba(one)[0], want[3])


def test_fit_may_choose_the_columns():
    model, _ = fastmlp.fit(CLASSES, "group", drop="size", as_category=["smokes"], **QUICK)
    assert {name.split("=")[0] for name in model.columns.names} == {"age", "town", "smokes"}
    assert model.columns.left_out(from_frame(CLASSES)) == ("size", "group")
    without = CLASSES.drop(columns=["size", "group"])
    assert np.array_equal(model.predict_proba(without), model.predict_proba(CLASSES))


def test_other_columns_are_named(model):
    new = people(6, 30).drop(columns=["rent", "group"])
    for wrong, error, message in (
        (new.drop(columns="town"), DataError, "must have the columns of training; got no 'town'"),
        (new.rename(columns={"town": "Town"}), DataError, "no 'town', but 'Town'"),
        (new.assign(height=1.0), DataError, "no columns that training lacked; got 'height'"),
        (new.assign(age="old"), DataError, "must hold a number in column 'age'.*got 'old'"),
        (np.ones((3, 4)), ModelError, "X must be a table, as this model was trained on; got an array"),
        (sparse.csr_array(np.ones((3, 4))), ModelError, "X must be a table"),
        (new.iloc[0], ModelError, r"got an array of shape \(4,\)\. Give frame\.iloc\[\[0\]\] for one row"),
    ):
        for ask in (model.predict, model.predict_proba, lambda X: model.evaluate(X, ["low"] * X.shape[0])):
            with pytest.raises(error, match=message):
                ask(wrong)


def test_what_training_never_saw_is_none_of_the_categories(model):
    new = people(6, 30).drop(columns=["rent", "group"])
    unseen, other = new.assign(town="Atlantis"), new.assign(town="Lemuria")
    assert np.array_equal(model.predict_proba(unseen), model.predict_proba(other))
    assert not np.array_equal(model.predict_proba(unseen), model.predict_proba(new))
    assert np.isfinite(model.predict_proba(new.assign(size=np.nan))).all()


def test_arrays_are_taken_where_all_columns_were_numbers():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(50, 3)) * [1, 100, 1e-3]
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(k=X[:, 0] > 0)
    model, _ = fastmlp.fit(frame, "k", **QUICK)
    assert np.array_equal(model.predict_proba(X), model.predict_proba(frame))
    assert model.predict(X).dtype == bool
    assert np.array_equal(model.predict_proba(X[:1]), model.predict_proba(frame)[:1])
    with pytest.raises(
        DataError, match=r"rows of shape \(N, D\).*got shape \(3,\)\. Use X\[None\] for one row"
    ):
        model.predict(X[0])
    with pytest.raises(
        ModelError, match=r"X must have 3 columns, as the table .*; got 2\. Give a frame, or all of 'a'"
    ):
        model.predict(X[:, :2])


def test_models_of_arrays_take_frames_of_numbers():
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model, _ = fastmlp.fit(X, ["a", "b"] * 25, **QUICK)
    assert model.columns is None
    for made in (pd.DataFrame, pl.DataFrame):
        assert np.array_equal(model.predict_proba(made(X)), model.predict_proba(X))
    assert np.array_equal(model.predict_proba(from_frame(pd.DataFrame(X))), model.predict_proba(X))
    with pytest.raises(DataError, match="numbers alone, as the arrays that this model was trained on"):
        model.predict(from_frame(pd.DataFrame({"a": ["x"], "b": [1], "c": [2]})))


def test_evaluate_finds_the_label_and_leaves_out_rows_without_one(model, rents):
    new = people(7, 40)
    given = model.evaluate(new.drop(columns=["rent", "group"]), new["group"])
    frame = new.drop(columns="rent")
    assert model.evaluate(frame) == model.evaluate(frame, "group") == given
    gaps = frame.copy()
    gaps.loc[::2, "group"] = None
    assert model.evaluate(gaps) == model.evaluate(frame[1::2])
    numbers = new.drop(columns="group")
    assert rents.evaluate(numbers) == rents.evaluate(numbers.drop(columns="rent"), new["rent"].to_numpy())
    with pytest.raises(DataError, match="'huge'"):
        model.evaluate(frame.replace("low", "huge"))
    with pytest.raises(DataError, match="y must be labels or numbers; got None"):
        model.evaluate(np.ones((2, 4)))


def test_the_file_holds_the_columns_and_gives_the_same(model, rents, tmp_path):
    for net, frame in ((model, CLASSES), (rents, NUMBERS)):
        net.save(tmp_path / "m")
        again = Model.load(tmp_path / "m")
        assert again.columns == net.columns
        assert again.classes == net.classes
        new = people(8, 15)[frame.columns]
        assert np.array_equal(again.predict(new), net.predict(new))
        again.save(tmp_path / "n")
        one, two = (sealed.read(tmp_path / name)[1]["fastmlp"] for name in "mn")
        assert one == two


@pytest.mark.parametrize("y", [[2, -5], [0.5, -1.5], [False, True], ['ü, "x"', "a\nb"], [3.0, 4.0]], ids=str)
def test_labels_of_every_type_come_back_from_the_file(tmp_path, y):
    labels = np.array(y * 20)
    X = np.random.default_rng(1).normal(size=(40, 3))
    model, _ = fastmlp.fit(X, labels, task="classes", **QUICK)
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert again.classes == model.classes == tuple(sorted(y))
    assert set(again.predict(X).tolist()) <= set(y)
    assert again.predict(X).dtype.kind == ("i" if y == [3.0, 4.0] else labels.dtype.kind)
    assert again.evaluate(X, labels).accuracy == (again.predict(X) == labels).mean()


def rewritten(path, change):
    """Change the description in a model's file, and seal it again."""
    state, metadata, _ = sealed.read(path)
    told = json.loads(metadata["fastmlp"])
    change(told)
    sealed.write(path, dict(state), {**metadata, "fastmlp": json.dumps(told)})


CHANGES = {
    "no list": lambda told: told.update(columns=3),
    "an unknown key": lambda told: told["columns"].update(other=1),
    "no columns": lambda told: told["columns"].update(columns=[]),
    "one column less": lambda told: told["columns"]["columns"].pop(),
    "a column twice": lambda told: told["columns"]["columns"].append(told["columns"]["columns"][0]),
    "another kind": lambda told: told["columns"]["columns"][0].update(kind="picture"),
    "a fill that is no number": lambda told: told["columns"]["columns"][0].update(fill="many"),
    "categories that are no texts": lambda told: told["columns"]["columns"][1].update(categories=[1, 2, 3]),
    "a label that is no name": lambda told: told["columns"].update(label=["group"]),
    "classes of two types": lambda told: told.update(classes=["low", "mid", 3]),
    "classes not ascending": lambda told: told.update(classes=["mid", "low", "top"]),
    "a class twice": lambda told: told.update(classes=["low", "low", "top"]),
    "a class that is no label": lambda told: told.update(classes=["low", "mid", None]),
    "a class that NumPy cuts": lambda told: told.update(classes=["low", "mid", "top\0"]),
    "nan": lambda told: told.update(classes=[1.5, 2.5, float("nan")]),
    "infinite": lambda told: told.update(classes=[1.5, 2.5, float("inf")]),
    "texts in a file from before": lambda told: told.update(format=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_files_whose_columns_or_classes_are_none_are_refused(model, tmp_path, change):
    path = tmp_path / "m"
    model.save(path)
    rewritten(path, lambda told: None)
    Model.load(path)
    rewritten(path, CHANGES[change])
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)


def test_the_file_is_of_the_newer_format_only_where_it_must(tmp_path):
    X = np.random.default_rng(1).integers(0, 9, (30, 3)).astype(np.uint8)
    for labels, form in (([4, 9] * 15, 1), ([-4, 9] * 15, 2), (["4", "9"] * 15, 2), ([True, False] * 15, 2)):
        model, _ = fastmlp.fit(X, labels, training=Training(scale=9, **QUICK))
        model.save(tmp_path / "m")
        with safe_open(tmp_path / "m", "np") as file:
            assert json.loads(file.metadata()["fastmlp"])["format"] == form


def test_a_models_columns_must_fit_its_net(model):
    other, _ = fastmlp.fit(CLASSES.drop(columns="size"), "group", **QUICK)
    with pytest.raises(ModelError, match="columns must make"):
        replace(model, columns=other.columns)
    with pytest.raises(ConfigError, match="columns must be a Columns object"):
        replace(model, columns=[1])


@pytest.mark.parametrize(
    "words", [{"validation": 0.2}, {"validation": 0.2, "scale": 1, "center": True}], ids=str
)
def test_rows_held_out_leave_no_trace_in_what_is_done_to_inputs(words):
    """Medians, categories, means and spreads are of the rows trained on: others may hold anything."""
    _, held = parted(N, 0.2, QUICK["seed"])
    other = CLASSES.copy()
    other.loc[held, "age"] = 1e5
    other.loc[held, "size"] = -7e8
    other.loc[held, "town"] = "Nowhere"
    test = people(9, 20).drop(columns="rent")
    one, _ = fastmlp.fit(CLASSES, "group", **QUICK, **words, test_data=test)
    two, _ = fastmlp.fit(other, "group", **QUICK, **words, test_data=test.assign(age=1e7, town="Else"))
    assert one.columns == two.columns
    assert np.array_equal(one.preprocessing.mean, two.preprocessing.mean)
    assert np.array_equal(one.preprocessing.scale, two.preprocessing.scale)
    assert one.parameters.sha256() == two.parameters.sha256()
    seen = CLASSES.copy()
    seen.loc[np.setdiff1d(np.arange(N), held)[0], "age"] = 1e5
    three, _ = fastmlp.fit(seen, "group", **QUICK, **words)
    assert one.parameters.sha256() != three.parameters.sha256()


def test_the_bytes_are_the_same_for_any_number_of_threads(model):
    for threads in (1, 2, 3):
        again, _ = fastmlp.fit(CLASSES, "group", threads=threads, **QUICK)
        assert again.parameters.sha256() == model.parameters.sha256()


def test_many_nets_are_those_of_fit():
    trainings = [
        Training(scale="standard", validation=v, **QUICK | {"seed": s}) for s in (0, 1) for v in (0, 0.2)
    ]
    found = list(fastmlp.fit_many(CLASSES, "group", trainings))
    assert len(found) == 4
    for each in found:
        alone, history = fastmlp.fit(CLASSES, "group", each.training)
        assert each.model.parameters.sha256() == alone.parameters.sha256()
        assert each.model.columns == alone.columns
        assert each.history.final.validation_loss == history.final.validation_loss


def test_a_training_resumes_to_the_same_bytes(tmp_path):
    words = {**QUICK, "validation": 0.2, "epochs": 6}
    whole, _ = fastmlp.fit(CLASSES, "group", **words)
    fastmlp.fit(CLASSES, "group", checkpoint=tmp_path / "c", **{**words, "epochs": 2})
    model, history = fastmlp.fit(CLASSES, "group", checkpoint=tmp_path / "c", **words)
    assert len(history.epochs) == 6
    assert model.parameters.sha256() == whole.parameters.sha256()
    for frame, y in (
        (CLASSES.drop(columns="size"), "group"),
        (CLASSES.rename(columns={"size": "weight"}), "group"),
        (CLASSES.replace("low", "lowest"), "group"),
        (Dataset.of(CLASSES, "group", as_category="smokes"), None),
        (Dataset.of(CLASSES, "group", drop="size"), None),
    ):
        with pytest.raises(DataError, match="must be resumed with the data it was begun with"):
            fastmlp.fit(frame, y, checkpoint=tmp_path / "c", **words)


@pytest.mark.parametrize(
    "words", [{}, {"loss": "binary"}, {"class_weight": "balanced"}, {"label_smoothing": 0.1}], ids=str
)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_text_labels_are_as_good_as_numbers(words, backend):
    X = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    y = (X[:, 0] > 0.5).astype(int)
    texts = np.array(["no", "yes"])[y]
    words = {**QUICK, **words, "backend": backend}
    one, history = fastmlp.fit(X, y, test_data=(X, y), **words)
    for labels in (
        texts,
        texts.tolist(),
        pd.Series(texts),
        pd.Series(texts, dtype="category"),
        y == 1,
        y * 1.5,
    ):
        other, same = fastmlp.fit(X, labels, task="classes", test_data=(X, labels), **words)
        assert other.parameters.sha256() == one.parameters.sha256()
        assert same.final.test_loss == history.final.test_loss
        assert (other.predict(X) == np.asarray(labels)).mean() == history.final.test_accuracy
        assert other.evaluate(X, labels).accuracy == history.final.test_accuracy
    with pytest.raises(
        DataError, match="y of the test data must hold the labels of training alone, 'no', 'yes'; got 'maybe'"
    ):
        fastmlp.fit(X, texts, test_data=(X[:1], ["maybe"]), **words)


def test_one_class_is_an_error_that_says_so():
    for y in (["a"] * N, [True] * N, np.ones(N)):
        with pytest.raises(DataError, match=r"at least two different labels; got (a|True|1) alone"):
            fastmlp.fit(CLASSES.drop(columns="group"), y, task="classes")


def test_the_study_is_of_pictures(tmp_path):
    with pytest.raises(DataError, match="the study must be of pictures; got a table"):
        study(Dataset.of(CLASSES, "group", CLASSES), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_diagnosis_takes_tables():
    words = {"hidden": 4, "epochs": 1, "seconds": 60}
    found = fastmlp.diagnose(CLASSES, "group", test_data=people(4, 30).drop(columns="rent"), **words)
    made = Dataset.of(CLASSES, "group", people(4, 30).drop(columns="rent")).numeric()
    same = fastmlp.diagnose(made, **words)
    assert found.verdict == same.verdict
    assert found.measures.inputs == same.measures.inputs
    assert fastmlp.diagnose(CLASSES, "group", **words).findings is not None
    with pytest.raises(ConfigError, match="loss"):
        fastmlp.diagnose(NUMBERS, "rent", loss="squared")


def test_estimators_take_inputs_as_they_are():
    X = np.random.default_rng(3).normal(size=(60, 4)) * [1, 10, 100, 1000]
    y = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
    net = fastmlp.MLPClassifier(hidden_layer_sizes=(5,), max_iter=500, tol=1.0, random_state=0).fit(X, y)
    hidden = np.maximum(X @ net.coefs_[0] + net.intercepts_[0], 0)
    z = hidden @ net.coefs_[1] + net.intercepts_[1]
    np.testing.assert_allclose(
        net.predict_proba(X), 1 / (1 + np.exp(np.clip(z * [1, -1], -700, 700))), rtol=1e-3, atol=1e-9
    )


@pytest.mark.parametrize("facade", ["estimators", "keras", "torch", "kernels", "reference"])
def test_facades_and_backends_know_no_tables(facade):
    home = Path(fastmlp.__file__).parent / facade
    sources = [*home.rglob("*.py")] if home.is_dir() else [home.with_suffix(".py")]
    assert sources
    for source in sources:
        text = source.read_text()
        for word in ("fastmlp.data.columns", "fastmlp.data.tables", "fastmlp.data.parts", ".numeric("):
            assert word not in text, source


def test_weights_by_class_may_have_the_labels_names():
    def weighed(weights):
        return fastmlp.fit(CLASSES, "group", class_weight=weights, **QUICK)[0].parameters.sha256()

    assert weighed({"mid": 3, "low": 0.5}) == weighed([0.5, 3, 1])
    assert weighed({np.str_("mid"): 3}) == weighed([1, 3, 1]) != weighed(None)
    flags = CLASSES["smokes"].to_numpy()
    made = [
        fastmlp.fit(CLASSES[["age", "town"]], flags, class_weight=weights, loss="binary", **QUICK)[0]
        for weights in ({True: 2}, [1, 2])
    ]
    assert made[0].parameters.sha256() == made[1].parameters.sha256()
    with pytest.raises(ConfigError, match=r"must name labels of the data; got 'tip'. They are low, mid, top"):
        weighed({"tip": 1})
    with pytest.raises(ConfigError, match="there are no classes"):
        fastmlp.fit(NUMBERS, "rent", class_weight={1: 2}, **QUICK)
    with pytest.raises(ConfigError, match="number from 0 for each class"):
        weighed({"mid": -1})


def test_weights_of_rows_without_a_label_are_left_out_with_them():
    labelled = np.arange(N) % 9 > 0
    frame, weights = CLASSES.assign(group=CLASSES["group"].where(labelled)), np.linspace(0, 2, N)
    want = fastmlp.fit(CLASSES[labelled], "group", sample_weight=weights[labelled], **QUICK)[0]
    for given in (weights, weights[labelled]):
        found = fastmlp.fit(frame, "group", sample_weight=given, **QUICK)[0]
        assert found.parameters.sha256() == want.parameters.sha256()
    with pytest.raises(DataError, match="sample_weight must be 80 numbers"):
        fastmlp.fit(frame, "group", sample_weight=weights[1:], **QUICK)


def test_a_diagnosis_of_a_quantity_is_refused_in_words():
    with pytest.raises(DataError, match="a diagnosis must be of classes; got 'rent', a quantity"):
        fastmlp.diagnose(NUMBERS, "rent")
    with pytest.raises(DataError, match="a diagnosis must be of classes; got y, a quantity"):
        fastmlp.diagnose(np.eye(50), np.linspace(0, 1, 50))


def test_a_net_of_an_array_takes_frames_of_numbers():
    X, y = np.random.default_rng(3).integers(0, 9, (40, 3)), [0, 1] * 20
    model = fastmlp.fit(X, y, **QUICK)[0]
    want, frame = model.predict_proba(X), pd.DataFrame(X, columns=[*"abc"])
    for given in (
        frame,
        frame.astype("Int64"),
        frame.astype(object),
        frame.astype({"a": "Float32", "b": "Int8"}),
        pl.from_pandas(frame),
        {name: list(frame[name]) for name in frame},
        frame.to_records(index=False),
    ):
        np.testing.assert_array_equal(model.predict_proba(given), want)
    for wrong, told in (("x", "a column of text, 'b'"), (None, "a missing cell, 'b'")):
        with pytest.raises(DataError, match=f"must hold numbers alone.*{told}"):
            model.predict(frame.astype(object).assign(b=[wrong] * 20 + [wrong or 1] * 20))


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("standard", "numbers, each less its column's mean"),
        ("robust", "divided by its column's scale"),
        (255, ", each divided by 255"),
    ],
)
def test_a_model_says_what_is_done_to_numbers_alone(scale, words):
    model, _ = fastmlp.fit(CLASSES, "group", **{**QUICK, "scale": scale})
    assert words in str(model)
    assert ("the others 0 or 1" in str(model)) == isinstance(scale, str)
