"""Estimators drawn by a seed: settings of parameters, data and calls that scikit-learn and fastmlp play.

``Setting.draw(number)`` is one of COUNT; with ``large=True`` its X has over 5,000 values, and no net takes
more than 20 steps. ``play`` makes the calls and keeps what came of them, and ``differences`` says in what two
outcomes are not the same: every attribute of scikit-learn's, predictions, warnings, errors, and how far the
generator of random numbers went.

All is drawn such that rounding does not decide where a net goes: rates are below the stability limit for the
scale of X, trainings are short, and epsilon of Adam is no less than its default. test_sklearn_differential.py
holds that by scikit-learn alone, from first weights that differ in the twelfth digit, or in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.base import BaseEstimator

COUNT = 300
MOST_STEPS = 20  # of a net of large data
LARGE = 5001  # values of X at least

TARGETS = (
    "binary", "binary", "classes", "classes", "labels", "number", "number", "numbers", "column", "poisson",
    "poisson of several",
)  # fmt: skip
CLASSIFIED = ("binary", "classes", "labels")
FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "int64": lambda X: np.rint(2 * X).astype(np.int64),
    "uint8": lambda X: np.rint(np.clip(2 * X + 4, 0, 9)).astype(np.uint8),
    "bool": lambda X: X > 0,
    "CSR": lambda X: scipy.sparse.csr_array(X * (X > 0)),
    "CSC": lambda X: scipy.sparse.csc_matrix(X * (X > 0)),
    "COO of float32": lambda X: scipy.sparse.coo_array((X * (X > 0)).astype(np.float32)),
    "Fortran": np.asfortranarray,
    "every other": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "read-only": lambda X: np.frombuffer(X.tobytes()).reshape(X.shape),
    "lists": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])]),
}
CLASSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "0, 1, ..": np.asarray,
    "negative": lambda y: 3 * y - 4,
    "words": lambda y: np.array(["no", "yes", "perhaps", "never", "always"])[y],
    "words as objects": lambda y: np.array(["no", "yes", "perhaps", "never", "always"], object)[y],
    "whole floats": lambda y: y + 1.0,
    "bool, if two": lambda y: y.astype(bool) if y.max() == 1 else y,
}


@dataclass(frozen=True)
class Call:
    """A method, the rows it gets, its other arguments, and parameters that are set before it."""

    method: str
    rows: slice
    arguments: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Setting:
    """X (N, D) is in float64, ``form`` is what a call gets of it; seed: None for NumPy's own generator."""

    number: int
    regressor: bool
    parameters: dict[str, Any]
    X: np.ndarray
    y: np.ndarray
    form: str
    calls: tuple[Call, ...]
    seed: int | None
    instance: bool  # random_state is a RandomState

    @classmethod
    def draw(cls, number: int, large: bool = False) -> Setting:
        rng = np.random.default_rng([number, large])
        target = TARGETS[number % len(TARGETS)]
        form = list(FORMS)[number // len(TARGETS) % len(FORMS)]
        X = _inputs(rng, large)
        y = _targets(rng, target, X)
        calls = _calls(rng, y, target in CLASSIFIED, len(X))
        parameters = _parameters(rng, target, X, y, large, calls)
        how = rng.integers(4)
        return cls(
            number, target not in CLASSIFIED, parameters, X, y, form, calls,
            None if how == 0 else int(rng.integers(1000)), how == 1,
        )  # fmt: skip

    def __str__(self) -> str:
        name = "MLPRegressor" if self.regressor else "MLPClassifier"
        told = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        calls = "".join(
            f" {call.parameters or ''} .{call.method}({call.rows}, {', '.join(call.arguments)})"
            for call in self.calls
        )
        return (
            f"setting {self.number}: {name}({told}), X {self.X.shape} as {self.form}, y {self.y.shape} of "
            f"{self.y.dtype}, seed {self.seed}{' in an instance' if self.instance else ''}:{calls}"
        )


def _inputs(rng: np.random.Generator, large: bool) -> np.ndarray:
    """Rows of order 1: columns of unequal scale, constant ones, one column, few rows."""
    columns = int(rng.choice([1, 2, 3, 5, 8, 13, 30]))
    rows = int(rng.choice([4, 7, 20, 33, 60, 100, 150]))
    if large:
        rows = -(-LARGE // columns) + int(rng.integers(40))
    X = rng.normal(size=(rows, columns))
    kind = rng.integers(6)
    if kind == 0:
        X *= rng.choice([0.1, 0.3, 1.0, 3.0], columns)
    elif kind == 1:
        X[:, rng.random(columns) < 0.3] = rng.choice([0.0, 1.0, -0.5])
    elif kind == 2:
        X += rng.choice([1.0, 5.0])
    return X


def _targets(rng: np.random.Generator, target: str, X: np.ndarray) -> np.ndarray:
    """y of X: what is to be learnt, with noise."""
    rows, columns = X.shape
    scores = X / np.maximum(np.abs(X).max(axis=0), 1) @ rng.normal(size=(columns, 5))
    scores += 0.3 * rng.normal(size=scores.shape)
    if target in ("binary", "classes"):
        K = 2 if target == "binary" else int(rng.integers(3, 6))
        y = scores[:, :K].argmax(axis=1)
        y[: min(K, rows)] = np.arange(min(K, rows))
        return CLASSES[rng.choice(list(CLASSES))](np.unique(y, return_inverse=True)[1])
    K = int(rng.integers(2, 6))
    if target == "labels":
        return (scores[:, :K] > 0.2).astype(rng.choice(["int64", "uint8"]))
    if target.startswith("poisson"):
        counts = rng.poisson(np.exp(np.clip(scores, -2, 2)))
        return counts[:, 0] if target == "poisson" else counts[:, :K].astype(np.float64)
    numbers = rng.choice([1.0, 3.0]) * scores
    if target == "number":
        return numbers[:, 0] if rng.integers(3) else np.rint(numbers[:, 0]).astype(int)
    return numbers[:, :1] if target == "column" else numbers[:, :K]


def _calls(rng: np.random.Generator, y: np.ndarray, classified: bool, rows: int) -> tuple[Call, ...]:
    """fit once or twice, partial_fit some times, or both in either order."""
    everything = slice(0, rows)
    half = slice(0, max(rows // 2, 1))
    first: dict[str, Any] = {}
    if classified:
        first = {"classes": np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)}
    fit = Call("fit", everything)
    part, rest = Call("partial_fit", everything, first), Call("partial_fit", half)
    calls: list[Call] = [
        [fit], [fit], [fit],
        [fit, Call("fit", everything, {}, {"max_iter": int(rng.integers(1, 5))})],
        [fit, Call("fit", slice(rows // 4, rows))],
        [part, Call("partial_fit", everything), rest, rest],
        [fit, Call("partial_fit", everything), rest],
        [part, rest, fit],
    ][rng.integers(8)]  # fmt: skip
    if rng.integers(3):
        return tuple(calls)
    weights = rng.uniform(0.2, 3, rows) if rng.integers(2) else rng.integers(1, 4, rows)
    if rng.integers(2):
        weights[rng.integers(rows)] = 0
    return tuple(
        Call(call.method, call.rows, {**call.arguments, "sample_weight": weights[call.rows]}, call.parameters)
        for call in calls
    )


def _parameters(
    rng: np.random.Generator, target: str, X: np.ndarray, y: np.ndarray, large: bool, calls: tuple[Call, ...]
) -> dict[str, Any]:
    """Parameters of the estimator, some of them as they are by default."""
    rows = len(X)
    solver = rng.choice(["adam", "adam", "sgd", "sgd", "lbfgs"])
    if any(call.method == "partial_fit" for call in calls) and solver == "lbfgs":
        solver = "adam"
    hidden: Any = [(), 3, (5,), [4, 3], np.array([6]), (7, 5, 3), (20,)][rng.integers(7)]
    told: dict[str, Any] = {
        "solver": str(solver), "hidden_layer_sizes": hidden, "max_iter": int(rng.integers(1, 13)),
        "activation": str(rng.choice(["relu", "relu", "tanh", "logistic", "identity"])),
        "alpha": float(rng.choice([0.0, 1e-4, 0.01, 1.0])), "shuffle": bool(rng.integers(4)),
        "batch_size": ["auto", "auto", min(8, rows), 1 + int(rng.integers(rows)), 2 * rows][rng.integers(5)],
        "tol": float(rng.choice([0.0, 1e-4, 1e-2, 0.3])), "warm_start": bool(rng.integers(2)),
        "n_iter_no_change": [1, 2, 4, 10, np.inf][rng.integers(5)],
    }  # fmt: skip
    scale = max(1.0, float(np.square(X).sum(axis=1).mean()))
    if target.startswith("poisson"):
        scale *= 10  # exp is steep
    if solver == "sgd":
        told["learning_rate"] = str(rng.choice(["constant", "invscaling", "adaptive"]))
        told["learning_rate_init"] = float(rng.choice([0.003, 0.03, 0.2])) / scale
        told["power_t"] = float(rng.choice([0.5, 0.1, 0.0]))
        told["momentum"] = float(rng.choice([0.0, 0.5, 0.9]))
        told["nesterovs_momentum"] = bool(rng.integers(2))
    elif solver == "adam":
        told["learning_rate_init"] = float(rng.choice([1e-4, 1e-3, 0.01]))
        told["beta_1"], told["beta_2"] = float(rng.choice([0.9, 0.0, 0.5])), float(rng.choice([0.999, 0.9]))
        told["epsilon"] = float(rng.choice([1e-8, 1e-8, 1e-5, 0.1]))
    else:
        told["max_fun"] = int(rng.choice([15000, 5]))
    if not rng.integers(3) and (calls[0].method == calls[-1].method == "fit" or not rng.integers(6)):
        told["early_stopping"] = True
        told["validation_fraction"] = float(rng.choice([0.1, 0.3]))
    if target.startswith("poisson"):
        told["loss"] = "poisson"
    if any(0 in call.arguments.get("sample_weight", ()) for call in calls):
        told["batch_size"] = "auto"  # scikit-learn divides by the sum of a batch's weights
    parts = [call for call in calls if call.method == "partial_fit" and target in CLASSIFIED]
    if any(len(np.unique(y[call.rows])) < len(np.unique(y)) for call in parts):
        told["warm_start"] = False  # else scikit-learn wants all classes in every call of partial_fit
    if large:
        _shorten(told, rows, calls)
    return told


def _shorten(told: dict[str, Any], rows: int, calls: tuple[Call, ...]) -> None:
    """Set batch_size and max_iter such that all calls together take no more than MOST_STEPS steps."""
    epochs = 1 + told["max_iter"] % 3
    fits = [call for call in calls if call.method == "fit"]
    epochs_in_all = len(calls) - len(fits) + sum(call.parameters.get("max_iter", epochs) for call in fits)
    batches = max(1, MOST_STEPS // epochs_in_all)
    told["max_iter"] = epochs
    told["batch_size"] = -(-rows // batches)
    if told["solver"] == "lbfgs":
        told["max_iter"], told["batch_size"] = 5, "auto"


# --- playing ----------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of the calls; error: the class of what was raised, and by which call."""

    estimator: Any
    warned: list[list[str]] = field(default_factory=list)
    error: tuple[int, type[BaseException], str] | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    state: Any = None


def play(setting: Setting, estimator_class: type[BaseEstimator], exact: bool = False, **more: Any) -> Outcome:
    """Make the calls on a new estimator. exact: X in float64, whatever its form was."""
    random_state: Any = setting.seed
    if setting.seed is None:
        np.random.seed(setting.number)  # noqa: NPY002  # scikit-learn's random_state=None
    if setting.instance:
        random_state = np.random.RandomState(setting.seed)
    parameters = {"random_state": random_state, **setting.parameters, **more}
    outcome = Outcome(estimator_class(**parameters))
    whole = FORMS[setting.form](setting.X)
    if exact and setting.form != "lists":
        whole = whole.astype(np.float64)
    for number, call in enumerate(setting.calls):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                outcome.estimator.set_params(**call.parameters)
                method = getattr(outcome.estimator, call.method)
                method(_rows(whole, call.rows), setting.y[call.rows], **call.arguments)
            except Exception as error:
                outcome.error = number, type(error), str(error)
        if outcome.error:
            return outcome
        names = {warning.category.__name__ for warning in caught} - {"RuntimeWarning"}
        outcome.warned.append(sorted(names))
    drawn = np.random.get_state() if random_state is None else setting.instance and random_state.get_state()  # noqa: NPY002
    outcome.state = drawn and (drawn[1].tolist(), drawn[2])
    outcome.outputs["predict"] = outcome.estimator.predict(whole)
    if not setting.regressor:
        outcome.outputs["predict_proba"] = outcome.estimator.predict_proba(whole)
        outcome.outputs["exp(predict_log_proba)"] = np.exp(outcome.estimator.predict_log_proba(whole))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome.outputs["score"] = outcome.estimator.score(whole, setting.y)
    return outcome


def _rows(whole: Any, rows: slice) -> Any:
    if hasattr(whole, "iloc"):
        return whole.iloc[rows]
    if isinstance(whole, scipy.sparse.coo_array):
        return whole.tocsr()[rows].tocoo()
    return whole[rows]


# --- comparing --------------------------------------------------------------------------------------


def differences(ours: Outcome, theirs: Outcome, tolerance: float) -> list[str]:
    """In what the outcomes differ, a line each. tolerance: of numbers, times the largest of them or 1."""
    if ours.warned != theirs.warned:
        return [f"warned of {ours.warned}, not {theirs.warned}; raised {ours.error}, not {theirs.error}"]
    if ours.error or theirs.error:
        alike = ours.error and theirs.error and ours.error[0] == theirs.error[0]
        if alike and issubclass(ours.error[1], theirs.error[1]):
            return []
        return [f"raised {ours.error}, not {theirs.error}"]
    found = [] if ours.state == theirs.state else ["random_state: not as many numbers were drawn"]
    for name, value in vars(theirs.estimator).items():
        if name.endswith("_") and not name.startswith("_"):
            if hasattr(ours.estimator, name):
                found += unlike(name, getattr(ours.estimator, name), value, tolerance)
            else:
                found.append(f"{name} is not there")
    for name, value in theirs.outputs.items():
        found += unlike(name, ours.outputs[name], value, tolerance)
    return found


def unlike(name: str, ours: Any, theirs: Any, tolerance: float) -> list[str]:
    """In what two values differ, a line or none: kind, shape, and numbers."""
    if kind_of(ours) != kind_of(theirs):
        return [f"{name}: {kind_of(ours)}, not {kind_of(theirs)}"]
    if isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{name}: {len(ours)} of them, not {len(theirs)}"]
        lines = [unlike(f"{name}[{i}]", ours[i], theirs[i], tolerance) for i in range(len(theirs))]
        return [line for some in lines for line in some][:1]
    differ = [f"{name}: {_told(ours)}, not {_told(theirs)}"]
    if not isinstance(theirs, (int, float, np.generic, np.ndarray)):
        return [] if ours == theirs else differ
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape:
        return [f"{name}: shape {a.shape}, not {b.shape}"]
    if b.dtype.kind != "f":
        return [] if np.array_equal(a, b) else differ
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return differ
    size = max(1.0, float(np.abs(b[finite]).max(initial=0)))
    error = float(np.abs(a[finite].astype(np.float64) - b[finite]).max(initial=0)) / size
    return [] if error <= tolerance else [f"{error:.1e} of {tolerance:g} in {differ[0]}"]


def kind_of(value: Any) -> str:
    """The kind of a value: all floating point is one, whatever its size, and so are whole numbers."""
    if isinstance(value, np.ndarray):
        return f"array of kind {value.dtype.kind}"
    for kinds, name in (
        ((bool, np.bool_), "bool"),
        ((int, np.integer), "int"),
        ((float, np.floating), "float"),
    ):
        if isinstance(value, kinds):
            return name
    return type(value).__name__


def _told(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 100 else f"{text[:100]}.."
