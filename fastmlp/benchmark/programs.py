"""Programs of the contenders: fastmlp, and every rival as a careful user of it would write the training.

A program is made with a Task and a number of threads outside the clock; ``epoch(order)`` is one pass
of plain SGD inside it. Tools are imported by their own process alone. Inputs lie scaled in memory
before the clock starts. scikit-learn and Keras draw their orders themselves, inside it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.benchmark.task import Task
from fastmlp.net import Parameters

Array = NDArray[Any]


class Program(Protocol):
    """A contender's training, as its process runs it."""

    def epoch(self, order: Array) -> object:
        """Train on the rows ``order`` (N,), and return when that is done."""

    def accuracy(self) -> float:
        """Share of the test rows that are classified right."""


class Kernels:
    """fastmlp itself."""

    def __init__(self, task: Task, threads: int | str, driver: str = "team", **options: Any) -> None:
        from fastmlp import kernels as nn
        from fastmlp.backends.threads import ThreadTuner

        self.nn, self.task, self.net, self.threads = nn, task, task.net(), threads
        self.parameters = self.net.parameters
        self.X, self.tuner = nn.encode(task.X), ThreadTuner(threads, driver)
        self.training = {"lr": task.lr, "batch_size": task.batch_size, **options}

    def epoch(self, order: Array) -> None:
        self.nn.train_epoch(self.net, self.X, self.task.y, order, threads=self.tuner, **self.training)

    def accuracy(self) -> float:
        task = self.task
        return self.nn.evaluate(self.net, task.X_test, task.y_test, threads=self.threads).accuracy


class Reference:
    """The NumPy backend; the threads are those of BLAS."""

    def __init__(self, task: Task, threads: int) -> None:
        from fastmlp import reference as nn

        self.nn, self.task, self.net = nn, task, task.net()
        self.parameters = self.net.parameters

    def epoch(self, order: Array) -> None:
        task = self.task
        self.nn.train_epoch(self.net, task.X, task.y, order, lr=task.lr, batch_size=task.batch_size)

    def accuracy(self) -> float:
        task = self.task
        return self.nn.evaluate(self.net, task.X_test, task.y_test).accuracy


class Torch:
    """PyTorch's training loop on tensors in memory: no DataLoader, which halves its speed."""

    def __init__(self, task: Task, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, self.task = torch, task
        parts: list[Any] = []
        for shape in task.architecture.shapes:
            parts += [torch.nn.Linear(*shape), torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*parts[:-1])
        state = task.first_weights().to_torch()
        self.net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=task.lr)
        self.X, self.y = torch.from_numpy(task.inputs(task.X)), torch.from_numpy(task.y)

    def epoch(self, order: Array) -> None:
        cross_entropy = self.torch.nn.functional.cross_entropy
        for rows in self.torch.from_numpy(order).split(self.task.batch_size):
            self.optimiser.zero_grad()
            cross_entropy(self.net(self.X[rows]), self.y[rows]).backward()
            self.optimiser.step()

    @property
    def parameters(self) -> Parameters:
        return Parameters.from_torch({name: t.numpy() for name, t in self.net.state_dict().items()})

    def accuracy(self) -> float:
        with self.torch.inference_mode():
            logits = self.net(self.torch.from_numpy(self.task.inputs(self.task.X_test)))
        return float((logits.argmax(dim=1).numpy() == self.task.y_test).mean())


class Jax:
    """One compiled call an epoch: a scan over its batches, the weights' memory handed on."""

    def __init__(self, task: Task, threads: int) -> None:
        import jax

        self.jax, self.task = jax, task
        self.X, self.y = jax.numpy.asarray(task.inputs(task.X)), jax.numpy.asarray(task.y)
        self.state = [jax.numpy.asarray(array) for array in task.first_weights()]

        def forward(state: Any, x: Any) -> Any:
            *layers, last = zip(state[::2], state[1::2], strict=True)
            for W, b in layers:
                x = jax.nn.relu(x @ W + b)
            return x @ last[0] + last[1]

        def loss(state: Any, x: Any, y: Any) -> Any:
            log_p = jax.nn.log_softmax(forward(state, x))
            return -jax.numpy.take_along_axis(log_p, y[:, None], axis=1).mean()

        def step(state: Any, X: Any, y: Any, rows: Any) -> Any:
            gradients = jax.grad(loss)(state, X[rows], y[rows])
            return [array - task.lr * gradient for array, gradient in zip(state, gradients, strict=True)]

        def steps(state: Any, X: Any, y: Any, batches: Any) -> Any:
            return jax.lax.scan(lambda s, rows: (step(s, X, y, rows), None), state, batches)[0]

        self.step, self.steps = jax.jit(step, donate_argnums=0), jax.jit(steps, donate_argnums=0)
        self.forward = jax.jit(forward)

    def epoch(self, order: Array) -> None:
        B = self.task.batch_size
        whole = len(order) // B * B
        self.state = self.steps(self.state, self.X, self.y, order[:whole].reshape(-1, B))
        if whole < len(order):
            self.state = self.step(self.state, self.X, self.y, order[whole:])
        self.jax.block_until_ready(self.state)

    @property
    def parameters(self) -> Parameters:
        return Parameters.from_keras(self.state)

    def accuracy(self) -> float:
        logits = np.asarray(self.forward(self.state, self.task.inputs(self.task.X_test)))
        return float((logits.argmax(axis=1) == self.task.y_test).mean())


class Sklearn:
    """MLPClassifier.partial_fit on all rows, which is one epoch of batches; the threads are those of BLAS."""

    def __init__(self, task: Task, threads: int, *, shuffle: bool = True) -> None:
        from sklearn.neural_network import MLPClassifier

        self.task, self.X = task, task.inputs(task.X)
        self.net = MLPClassifier(
            task.hidden, activation="relu", solver="sgd", alpha=0.0, batch_size=task.batch_size,
            learning_rate_init=task.lr, momentum=0.0, nesterovs_momentum=False, shuffle=shuffle,
            random_state=task.seed,
        )  # fmt: skip
        B = task.batch_size
        self.net.partial_fit(self.X[:B], task.y[:B], classes=range(task.classes))  # makes the arrays
        for array, first in zip(self.parameters, task.first_weights(), strict=True):
            array[...] = first

    def epoch(self, order: Array) -> None:
        self.net.partial_fit(self.X, self.task.y)

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.net.coefs_, self.net.intercepts_)

    def accuracy(self) -> float:
        return float(self.net.score(self.task.inputs(self.task.X_test), self.task.y_test))


class Keras:
    """Keras' fit on TensorFlow, an epoch a call."""

    def __init__(self, task: Task, threads: int, *, shuffle: bool = True) -> None:
        import keras

        self.task, self.shuffle, self.X = task, shuffle, task.inputs(task.X)
        *hidden, last = [width for _, width in task.architecture.shapes]
        layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
        inputs = keras.Input((self.X.shape[1],))
        self.net = keras.Sequential([inputs, *layers, keras.layers.Dense(last)])
        self.net.set_weights(task.first_weights().to_keras())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.net.compile(optimizer=keras.optimizers.SGD(task.lr), loss=loss)

    def epoch(self, order: Array) -> None:
        batch, shuffle = self.task.batch_size, self.shuffle
        self.net.fit(self.X, self.task.y, batch_size=batch, epochs=1, shuffle=shuffle, verbose=0)

    @property
    def parameters(self) -> Parameters:
        return Parameters.from_keras(self.net.get_weights())

    def accuracy(self) -> float:
        logits = self.net.predict(self.task.inputs(self.task.X_test), batch_size=1000, verbose=0)
        return float((logits.argmax(axis=1) == self.task.y_test).mean())
