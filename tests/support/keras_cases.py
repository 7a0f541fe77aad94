"""Trainings in the words that Keras and fastmlp.keras share, drawn by a number; and what Keras made of them.

``trained`` is a whole training, of nets whose steps are stable. ``stepped`` takes single steps, each from
weights that are given: on unscaled inputs training is chaotic, and only a step can be compared.
tests/facades/keras_tensorflow.npz holds what Keras on TensorFlow answered; write_keras_fixtures.py writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from compare import check

FILE = Path(__file__).parents[1] / "facades" / "keras_tensorflow.npz"
TRAININGS, STEPS = range(48), range(100, 132)

DATA = ("breast cancer", "iris", "wine", "mnist")
ACTS, HIDDEN = ("relu", "sigmoid", "tanh"), ((5,), (6, 4), ())
LOSSES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "object", "sparse object", "logits")
RULES = {
    "sgd": (lambda k, lr: k.optimizers.SGD(lr), 1.0),
    "momentum": (lambda k, lr: k.optimizers.SGD(lr, momentum=0.9), 0.2),
    "nesterov": (lambda k, lr: k.optimizers.SGD(lr, momentum=0.8, nesterov=True), 0.3),
    "adam": (lambda k, lr: k.optimizers.Adam(lr), 0.1),
    "adam, large epsilon": (lambda k, lr: k.optimizers.Adam(lr, beta_1=0.8, beta_2=0.99, epsilon=0.01), 0.1),
}
N, HELD, BATCHES = 64, 24, 5  # rows to train on and to validate with; single steps


@dataclass(frozen=True)
class Case:
    """number: of the draw. raw: inputs as they are. lr: SGD's, other rules have a share of it."""

    number: int
    data: str
    raw: bool
    act: str
    hidden: tuple[int, ...]
    loss: str
    layer: bool  # softmax as a layer of its own
    rule: str
    lr: float
    batch_size: int
    held: str
    eager: bool

    @property
    def sparse(self) -> bool:
        return "sparse" in self.loss or self.loss == "logits"

    def rows(self):
        """X and y to train on, X and y to validate with, and the number of classes."""
        X, y = table(self.data)
        picked = np.random.default_rng(self.number).permutation(len(X))[: N + HELD]
        K = int(y.max()) + 1
        if not self.raw:
            X = X / 255 if self.data == "mnist" else (X - X.mean(axis=0)) / X.std(axis=0)
        X, y = X[picked].astype(np.float32), y[picked]
        return X[:N], y[:N], X[N:], y[N:], K


@cache
def table(name: str):
    """Every row of it. MNIST: every second pixel of the middle of 1,000 images."""
    if name == "mnist":
        from fastmlp.data import load

        digits = load("mnist")
        return digits.X[:1000].reshape(-1, 28, 28)[:, 4:24:2, 4:24:2].reshape(1000, 100), digits.y[:1000]
    from sklearn import datasets

    return getattr(datasets, f"load_{name.replace(' ', '_')}")(return_X_y=True)


def drawn(number: int) -> Case:
    """A whole training below 100, single steps from there; every word meets every other one."""
    rng = np.random.default_rng(number)
    steps = number >= 100
    n = 7 * number
    data = DATA[n % 4]
    raw = steps or n // 4 % 3 == 0
    lr = (0.01 if n // 2 % 2 else 0.1) if steps else 0.1
    case = Case(
        number, data, raw, ACTS[n % 3], HIDDEN[n // 3 % 3], LOSSES[n % 5], bool(rng.integers(2)),
        tuple(RULES)[n // 5 % 5], lr, int((1, 32, N)[int(rng.integers(3))]),
        ("", "split", "data")[int(rng.integers(3))], bool(rng.integers(2)),
    )  # fmt: skip
    if raw and not steps:  # below the stability limit of softmax regression, of rate 4 / |x|^2
        X = case.rows()[0].astype(np.float64)
        return Case(**{**vars(case), "lr": float(0.5 / np.square(X).sum(axis=1).max())})
    return case


def model_of(k, case: Case, D: int, K: int, **options):
    """Compiled, with its first weights. backend, clip: fastmlp's own options."""
    model = k.Sequential([k.Input(shape=(D,))])
    for width in case.hidden:
        model.add(k.layers.Dense(width, activation=case.act))
    if case.loss == "logits":
        model.add(k.layers.Dense(K))
    elif case.layer:
        model.add(k.layers.Dense(K))
        model.add(k.layers.Activation("softmax"))
    else:
        model.add(k.layers.Dense(K, activation="softmax"))
    kind = k.losses.SparseCategoricalCrossentropy if case.sparse else k.losses.CategoricalCrossentropy
    if case.loss == "logits":
        loss = kind(from_logits=True)
    elif "clip" in options:
        loss = kind(clip=options["clip"])
    else:
        loss = kind() if "object" in case.loss else case.loss
    make, share = RULES[case.rule]
    model.compile(optimizer=make(k, case.lr * share), loss=loss, metrics=["accuracy"], run_eagerly=case.eager)
    if "backend" in options:
        model.backend = options["backend"]
    rng = np.random.default_rng(case.number)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def trained(k, case: Case, **options) -> dict[str, np.ndarray]:
    """A training of one epoch or nine without shuffling, an evaluation and a prediction."""
    X, y, X_held, y_held, K = case.rows()
    target = (lambda y: y) if case.sparse else (lambda y: k.utils.to_categorical(y, K))
    model = model_of(k, case, X.shape[1], K, **options)
    held = {"split": {"validation_split": 0.25}, "data": {"validation_data": (X_held, target(y_held))}}
    history = model.fit(
        X, target(y), batch_size=case.batch_size, epochs=1 if case.batch_size == 1 else 9, verbose=0,
        shuffle=False, **held.get(case.held, {}),
    ).history  # fmt: skip
    return {
        "names": np.array(list(history)),
        "history": np.array(list(history.values())),
        "scores": np.array(model.evaluate(X_held, target(y_held), verbose=0)),
        "outputs": model.predict(X_held, verbose=0),
        "weights": flat(model.get_weights()),
    }


def stepped(k, case: Case, starts: np.ndarray | None = None, **options) -> dict[str, np.ndarray]:
    """Weights before each of the steps and after the last, and the loss and accuracy of each.

    starts: the weights before each step, where another's are to be taken.
    """
    X, y, _, _, K = case.rows()
    target = y if case.sparse else k.utils.to_categorical(y, K)
    model = model_of(k, case, X.shape[1], K, **options)
    size = {1: 1, 32: 12}.get(case.batch_size, N)
    weights, told = [flat(model.get_weights())], []
    for step in range(BATCHES):
        if starts is not None:
            model.set_weights(shaped(starts[step], model.get_weights()))
        batch = np.arange(step * size, (step + 1) * size) % N
        history = model.fit(X[batch], target[batch], batch_size=size, verbose=0, shuffle=False).history
        weights.append(flat(model.get_weights()))
        told.append([history["loss"][0], history["accuracy"][0]])
    return {"weights": np.array(weights), "told": np.array(told)}


def breast_cancer(k, nets: int = 10, **options) -> list[float]:
    """Accuracies of nets of 16 ReLU on the raw table, ten epochs of Adam; ``options``: the loss's."""
    X, y = table("breast cancer")
    X, found = X.astype(np.float32), []
    for seed in range(nets):
        rng = np.random.default_rng(seed)
        model = k.Sequential([k.Input((30,))])
        model.add(k.layers.Dense(16, activation="relu"))
        model.add(k.layers.Dense(2, activation="softmax"))
        loss = k.losses.SparseCategoricalCrossentropy(**options) if options else LOSSES[1]
        model.compile("adam", loss, metrics=["accuracy"])
        limits = ((6 / 46) ** 0.5, 0, (6 / 18) ** 0.5, 0)  # Glorot's
        model.set_weights(
            [rng.uniform(-a, a, w.shape) for a, w in zip(limits, model.get_weights(), strict=True)]
        )
        model.fit(X, y, epochs=10, batch_size=32, verbose=0)
        found.append(model.evaluate(X, y, verbose=0)[1])
    return found


def flat(arrays) -> np.ndarray:
    return np.concatenate([np.asarray(a).ravel() for a in arrays])


def shaped(values: np.ndarray, like) -> list[np.ndarray]:
    ends = np.cumsum([a.size for a in like])
    return [part.reshape(a.shape) for part, a in zip(np.split(values, ends[:-1]), like, strict=True)]


def same_training(got: dict[str, np.ndarray], want: dict[str, np.ndarray], case: Case) -> None:
    """Within the table of tolerances."""
    assert got["names"].tolist() == want["names"].tolist()
    for row, name in enumerate(want["names"]):
        check("keras history", got["history"][row], want["history"][row], f"{name} {case}")
    check("keras history", got["scores"], want["scores"], str(case))
    check("keras outputs", got["outputs"], want["outputs"], str(case))
    check("keras weights", got["weights"], want["weights"], str(case))
    assert got["outputs"].dtype == want["outputs"].dtype


def same_steps(got: dict[str, np.ndarray], want: dict[str, np.ndarray], case: Case) -> None:
    """Each step from the same weights: what it changes, not only where it ends."""
    check("raw loss", got["told"][:, 0], want["told"][:, 0], str(case))
    assert np.allclose(got["told"][:, 1], want["told"][:, 1], rtol=0, atol=1e-6), case  # not one row
    vague = case.act == "sigmoid" and "adam" in case.rule  # large steps from what is left of s (1 - s) near 1
    for step in range(BATCHES):
        before, after = want["weights"][step].astype(np.float64), want["weights"][step + 1]
        check("raw update", got["weights"][step + 1], after, f"step {step} {case}")
        moved = np.linalg.norm(after - before)
        if moved > 1e-3 * np.linalg.norm(after) and not vague:  # else they are digits of the rounded weights
            check("keras step", got["weights"][step + 1] - before, after - before, f"step {step} {case}")


def kept() -> dict[int, dict[str, np.ndarray]]:
    """What the file holds, by the number of the case."""
    cases: dict[int, dict[str, np.ndarray]] = {}
    with np.load(FILE) as file:
        for name in file.files:
            number, _, what = name.partition(" ")
            cases.setdefault(int(number), {})[what] = file[name]
    return cases
