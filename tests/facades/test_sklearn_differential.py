"""300 drawn settings: fastmlp's estimators beside scikit-learn's, call by call, from the same random_state.

In float64 all that scikit-learn leaves is the same to 1e-6; by default, on data that are computed in float32,
to 1e-4 over 20 steps. How settings are drawn, played and compared is in support/drawn_settings.py.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="needs fastmlp[sklearn]")

from drawn_settings import CLASSES, COUNT, FORMS, MOST_STEPS, TARGETS, Outcome, Setting, differences, play
from sklearn import neural_network as theirs

import fastmlp

GROUPS = [range(start, start + 10) for start in range(0, COUNT, 10)]
EXACT, DEFAULT = 1e-6, 1e-4

in_groups = pytest.mark.parametrize("numbers", GROUPS, ids=lambda group: f"{group[0]}-{group[-1]}")


def of_scikit_learn(setting: Setting) -> Outcome:
    """What scikit-learn makes of the setting in float64."""
    return play(setting, theirs.MLPRegressor if setting.regressor else theirs.MLPClassifier, exact=True)


def of_fastmlp(setting: Setting, **more: object) -> Outcome:
    return play(setting, fastmlp.MLPRegressor if setting.regressor else fastmlp.MLPClassifier, **more)


def wrong_in_float64(number: int) -> list[str]:
    setting = Setting.draw(number)
    found = differences(of_fastmlp(setting, dtype="float64"), of_scikit_learn(setting), EXACT)
    return [f"{setting}\n    {line}" for line in found]


def wrong_by_default(number: int) -> list[str]:
    setting = Setting.draw(number, large=True)
    found = differences(of_fastmlp(setting), of_scikit_learn(setting), DEFAULT)
    return [f"{setting}\n    {line}" for line in found]


@pytest.mark.parametrize("number", [2, 101, 187, 276])
def test_a_setting_in_float64(number):
    assert not wrong_in_float64(number)


@pytest.mark.parametrize("number", [3, 52, 142, 249])
def test_a_setting_by_default(number):
    assert not wrong_by_default(number)


@pytest.mark.slow
@in_groups
def test_settings_in_float64(numbers):
    wrong = [line for number in numbers for line in wrong_in_float64(number)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@in_groups
def test_settings_by_default(numbers):
    wrong = [line for number in numbers for line in wrong_by_default(number)]
    assert not wrong, "\n".join(wrong)


# --- the settings -----------------------------------------------------------------------------------


class Shaken:
    """First weights differ in the twelfth digit."""

    def _init_coef(self, *arguments):
        rng = np.random.default_rng(0)
        return [
            part * (1 + 1e-12 * rng.uniform(-1, 1, part.shape)) for part in super()._init_coef(*arguments)
        ]


class ShakenClassifier(Shaken, theirs.MLPClassifier):
    pass


class ShakenRegressor(Shaken, theirs.MLPRegressor):
    pass


@pytest.mark.slow
@in_groups
def test_rounding_does_not_decide(numbers):
    """By scikit-learn alone: an error of 1e-12 stays under 1e-8, and float32 under a half of its bound."""
    wrong = []
    for number in numbers:
        setting = Setting.draw(number)
        shaken = play(setting, ShakenRegressor if setting.regressor else ShakenClassifier, exact=True)
        wrong += [f"{setting}: {line}" for line in differences(shaken, of_scikit_learn(setting), 1e-8)]
        setting = Setting.draw(number, large=True)
        if setting.parameters["solver"] == "lbfgs":
            continue  # which fastmlp computes in float64
        values = FORMS[setting.form](setting.X)
        values = np.asarray(values.toarray() if scipy.sparse.issparse(values) else values, np.float32)
        setting = dataclasses.replace(setting, X=values, form="float64")
        net = theirs.MLPRegressor if setting.regressor else theirs.MLPClassifier
        lines = differences(play(setting, net), of_scikit_learn(setting), DEFAULT / 2)
        wrong += [f"{setting}: {line}" for line in lines if "coefs_" in line or "intercepts_" in line]
    assert not wrong, "\n".join(wrong)


def test_settings_hold_everything():
    drawn = [Setting.draw(number) for number in range(COUNT)]
    assert {setting.form for setting in drawn} == set(FORMS)
    words = [{**setting.parameters, "random_state": setting.seed} for setting in drawn]
    for name, values in {
        "solver": ("adam", "sgd", "lbfgs"), "activation": ("relu", "tanh", "logistic", "identity"),
        "learning_rate": ("constant", "invscaling", "adaptive"), "shuffle": (True, False),
        "warm_start": (True, False), "nesterovs_momentum": (True, False), "n_iter_no_change": (1, np.inf),
        "hidden_layer_sizes": (3, (), (5,), [4, 3]), "early_stopping": (True,), "loss": ("poisson",),
        "random_state": (None,), "batch_size": ("auto",), "tol": (0.0, 0.3), "alpha": (0.0, 1.0),
    }.items():  # fmt: skip
        for value in values:
            found = sum(type(word.get(name)) is type(value) and word[name] == value for word in words)
            assert found >= 15, (name, value, found)
    assert len({str(setting) for setting in drawn}) == COUNT
    assert sum(setting.instance for setting in drawn) > 50
    methods = {tuple(call.method for call in setting.calls) for setting in drawn}
    assert {("fit",), ("fit", "fit"), ("fit", "partial_fit", "partial_fit")} <= methods
    assert sum("sample_weight" in setting.calls[0].arguments for setting in drawn) > 60
    assert {setting.y.ndim for setting in drawn} == {1, 2}
    assert {setting.y.dtype.kind for setting in drawn} >= set("iufUOb")
    assert len(TARGETS) * len(FORMS) < COUNT


def test_large_settings_take_few_steps():
    for number in range(0, COUNT, 7):
        setting = Setting.draw(number, large=True)
        assert setting.X.size > 5000
        words = setting.parameters
        steps = 0
        for call in setting.calls:
            words = {**words, **call.parameters}
            epochs = words["max_iter"] if call.method == "fit" else 1
            rows = len(setting.X[call.rows])
            steps += epochs if words["solver"] == "lbfgs" else epochs * -(-rows // words["batch_size"])
        assert steps <= MOST_STEPS, setting


def test_most_settings_end_without_an_error():
    """What is refused is compared too, but says little of where nets go."""
    numbers = range(0, COUNT, 6)
    assert sum(of_scikit_learn(Setting.draw(number)).error is not None for number in numbers) <= 5


# --- the comparator ---------------------------------------------------------------------------------


def test_every_difference_is_seen():
    drawn = [Setting.draw(number) for number in range(COUNT)]
    stops = [s for s in drawn if s.instance and s.parameters.get("early_stopping") and not s.regressor]
    right = of_scikit_learn(next(s for s in stops if len(s.X) >= 60 and s.parameters["solver"] == "sgd"))
    assert right.error is None
    assert differences(copy.deepcopy(right), right, 0.0) == []
    names = [name for name in vars(right.estimator) if name.endswith("_")]
    assert {"coefs_", "t_", "validation_scores_", "loss_curve_", "best_loss_", "n_iter_"} <= set(names)
    for name in names:
        value = getattr(right.estimator, name)
        for other in others(value):
            wrong = copy.deepcopy(right)
            setattr(wrong.estimator, name, other)
            assert differences(wrong, right, EXACT), (name, value, other)
        wrong = copy.deepcopy(right)
        delattr(wrong.estimator, name)
        assert differences(wrong, right, EXACT) == [f"{name} is not there"]
    for name, value in right.outputs.items():
        for other in others(value):
            assert differences(replaced(right, outputs={**right.outputs, name: other}), right, EXACT)
    for change in (
        {"warned": [["UserWarning"]]},
        {"warned": [*right.warned, []]},
        {"error": (0, ValueError, "")},
        {"state": "another"},
    ):
        assert differences(replaced(right, **change), right, EXACT)
    failed = replaced(right, error=(0, ValueError, "one text"))
    assert differences(right, failed, EXACT)
    assert not differences(replaced(right, error=(0, ValueError, "another text")), failed, EXACT)
    assert not differences(replaced(right, error=(0, UnicodeError, "a ValueError too")), failed, EXACT)
    assert differences(replaced(right, error=(0, TypeError, "")), failed, EXACT)
    assert differences(replaced(right, error=(1, ValueError, "")), failed, EXACT)


def replaced(outcome: Outcome, **changes: object) -> Outcome:
    return dataclasses.replace(copy.deepcopy(outcome), **changes)


def others(value: object) -> list[object]:
    """Values that differ from this one by little, or in kind."""
    found: list[object] = ["another", value is None, np.zeros(1)]
    if isinstance(value, list):
        found += [value[:-1], [*value, value[-1]], [*value[:-1], others(value[-1])[-1]], tuple(value)]
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        changed = value.copy()
        changed.flat[-1] += 3 * EXACT * max(1, np.abs(value).max())
        holed = value.copy()
        holed.flat[0] = np.nan
        found += [value[:-1], value[None], value.astype(int), holed, np.full_like(value, np.inf), changed]
    elif isinstance(value, np.ndarray):
        found += [value[::-1].copy()] if len(set(value.tolist())) > 1 and value.ndim == 1 else []
        found += [value[:-1], value.astype(object) if value.dtype.kind != "O" else value.astype(str)]
    elif isinstance(value, int):
        found += [float(value), value + 1]
    elif isinstance(value, float):
        found += [np.nan, value + 3 * EXACT * max(1, abs(value))]
    return found


def test_classes_are_drawn_in_every_form():
    kinds = {np.asarray(form(np.array([0, 1]))).dtype.kind for form in CLASSES.values()}
    assert kinds == set("iUOfb")
