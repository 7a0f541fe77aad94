"""Programs as users of scikit-learn, Keras and PyTorch write them, and the same with fastmlp's import.

Each is a contender of ``fastmlp.benchmark``, in a process of its own: ``epoch`` fits the whole program, a net
of the question for EPOCHS epochs of plain SGD on float32 pixels / 255, whatever the order it is given.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from fastmlp.backends.threads import ThreadTuner
from fastmlp.benchmark.contenders import Contender
from fastmlp.benchmark.task import Task
from fastmlp.net import Net
from fastmlp.random import permutation

EPOCHS = 15


class _Program:
    """X, y and the tested share of right answers of a predictor."""

    def __init__(self, task: Task, threads: int) -> None:
        self.task, self.threads = task, threads
        self.X, self.X_test = task.inputs(task.X), task.inputs(task.X_test)
        self.load()

    def load(self) -> None:
        """Imports, outside the clock."""

    def predict(self, X: Any) -> Any:
        raise NotImplementedError

    def accuracy(self) -> float:
        return float((self.predict(self.X_test) == self.task.y_test).mean())


class Engine(_Program):
    """fastmlp without any wrapper: encode once, then one call an epoch, with threads as all of them have."""

    def load(self) -> None:
        from fastmlp import kernels as nn

        self.nn = nn

    def epoch(self, order: Any) -> None:
        self.net = Net(self.task.architecture, self.task.first_weights())  # its inputs are scaled
        X, tuner = self.nn.encode(self.X), ThreadTuner()
        for number in range(1, EPOCHS + 1):
            order = permutation(len(self.X), 0, "order", number)
            self.nn.train_epoch(
                self.net, X, self.task.y, order,
                lr=self.task.lr, batch_size=self.task.batch_size, threads=tuner,
            )  # fmt: skip

    def predict(self, X: Any) -> Any:
        return self.nn.predict_proba(self.net, X).argmax(axis=1)


class Sklearn(_Program):
    """MLPClassifier: scikit-learn's, or fastmlp's."""

    module = "sklearn.neural_network"

    def load(self) -> None:
        from importlib import import_module

        self.make = import_module(self.module).MLPClassifier

    def epoch(self, order: Any) -> None:
        self.net = self.make(
            (100,), solver="sgd", alpha=0.0, batch_size=100, learning_rate_init=self.task.lr, momentum=0.0,
            nesterovs_momentum=False, max_iter=EPOCHS, tol=0.0, n_iter_no_change=EPOCHS + 1, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ConvergenceWarning: so few epochs are what is asked for
            self.net.fit(self.X, self.task.y)

    def predict(self, X: Any) -> Any:
        return self.net.predict(X)


class SklearnOurs(Sklearn):
    module = "fastmlp"


class Keras(_Program):
    """The question's program: Keras', or fastmlp's."""

    module = "keras"

    def load(self) -> None:
        from importlib import import_module

        self.models, self.layers, self.utils, _ = (
            import_module(f"{self.module}.{name}") for name in ("models", "layers", "utils", "optimizers")
        )
        self.Y = self.utils.to_categorical(self.task.y, self.task.classes)

    def epoch(self, order: Any) -> None:
        Activation, Dense = self.layers.Activation, self.layers.Dense
        self.net = self.models.Sequential()
        self.net.add(Dense(100))
        self.net.add(Activation("relu"))
        self.net.add(Dense(self.task.classes))
        self.net.add(Activation("softmax"))
        self.net.compile(loss="categorical_crossentropy", metrics=["accuracy"], optimizer="sgd")
        self.net.fit(self.X, self.Y, batch_size=100, epochs=EPOCHS, verbose=0)

    def predict(self, X: Any) -> Any:
        return np.asarray(self.net.predict(X, verbose=0)).argmax(axis=1)


class KerasOurs(Keras):
    module = "fastmlp.keras"


class Torch(_Program):
    """A Sequential of Linear and ReLU: trained by a loop of PyTorch's, or by fastmlp.torch.fit."""

    def load(self) -> None:
        import torch

        torch.set_num_threads(self.threads)
        self.torch = torch
        self.inputs, self.labels = torch.from_numpy(self.X), torch.from_numpy(self.task.y)

    def epoch(self, order: Any) -> None:
        torch = self.torch
        D = self.X.shape[1]
        self.net = torch.nn.Sequential(
            torch.nn.Linear(D, 100), torch.nn.ReLU(), torch.nn.Linear(100, self.task.classes)
        )
        self.fit()

    def fit(self) -> None:
        optimizer = self.torch.optim.SGD(self.net.parameters(), lr=self.task.lr)
        score = self.torch.nn.CrossEntropyLoss()
        for _ in range(EPOCHS):
            for rows in self.torch.randperm(len(self.X)).split(100):
                optimizer.zero_grad()
                score(self.net(self.inputs[rows]), self.labels[rows]).backward()
                optimizer.step()

    def predict(self, X: Any) -> Any:
        with self.torch.inference_mode():
            return self.net(self.torch.from_numpy(X)).argmax(dim=1).numpy()


class TorchOurs(Torch):
    def fit(self) -> None:
        import fastmlp.torch

        fastmlp.torch.fit(self.net, self.inputs, self.labels, lr=self.task.lr, batch_size=100, epochs=EPOCHS)


ENGINE = "fastmlp's engine alone"
PAIRS = {  # the tool's program and its modules: the same with fastmlp
    "scikit-learn, MLPClassifier.fit": ("Sklearn", ("sklearn",), "fastmlp.MLPClassifier"),
    "Keras on TensorFlow, Sequential.fit": ("Keras", ("keras", "tensorflow"), "fastmlp.keras"),
    "PyTorch, a loop": ("Torch", ("torch",), "fastmlp.torch.fit"),
}


def contenders(threads: int) -> list[Contender]:
    """The engine, and each pair; rivals at one thread and all, the faster of which takes part.

    Keras alone is tried at all threads only, which were always faster: its program takes half a minute.
    """
    both = tuple(sorted({1, threads}))
    found = [Contender("engine", ENGINE, "facades:Engine", threads=(threads,))]
    for label, (program, needs, ours) in PAIRS.items():
        # fastmlp's facade of Keras needs neither Keras nor TensorFlow
        own = () if program == "Keras" else needs
        found.append(Contender(ours, ours, f"facades:{program}Ours", own, threads=(threads,)))
        tried = (threads,) if program == "Keras" else both
        found.append(Contender(program.lower(), label, f"facades:{program}", needs, threads=tried))
    return found


def over_engine(kind: type[_Program], task: Task, threads: int, rounds: int) -> list[float]:
    """A call's time over that of the engine's calls in it (encode, orders, a session's epochs), by round.

    Both are of the same moment: what other programs do to one, they do to the other.
    """
    from fastmlp import kernels, random

    homes: list[tuple[Any, str]] = [
        (kernels, "encode"),
        (kernels.Session, "__init__"),
        (kernels.Session, "train"),
        (random, "permutation"),
    ]
    if kind is SklearnOurs:
        from fastmlp.estimators import orders

        homes.append((orders.Orders, "__call__"))
    spent, depth = 0.0, 0

    def timed(call: Any) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal spent, depth
            depth += 1
            started = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                depth -= 1
                if not depth:
                    spent += time.perf_counter() - started

        return run

    program, found = kind(task, threads), []
    program.epoch(None)  # compiled, and every import done
    before = [getattr(module, name) for module, name in homes]
    try:
        for (module, name), call in zip(homes, before, strict=True):
            setattr(module, name, timed(call))
        for _ in range(rounds):
            spent, started = 0.0, time.perf_counter()
            program.epoch(None)
            found.append((time.perf_counter() - started) / spent)
    finally:
        for (module, name), call in zip(homes, before, strict=True):
            setattr(module, name, call)
    return found
