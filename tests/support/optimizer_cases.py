"""Trainings of a small net by every optimizer, in our words, in PyTorch's and in Keras'.

A hundred steps of 6-5-3 with tanh, 20 epochs of five batches in their order; where ``factor`` is not 1, the
rate is multiplied by it after each step. write_optimizer_fixtures.py keeps what both make of their cases.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastmlp import Architecture, Net, Parameters, initialise
from fastmlp.backends.state import OptimizerState
from fastmlp.words.layers import Layer
from fastmlp.words.optimizers import Optimizer

FILE = Path(__file__).parents[1] / "unit" / "optimizers.npz"
N, D, H, K, B, EPOCHS = 40, 6, 5, 3, 8, 20


@dataclass(frozen=True)
class Case:
    """A rule, rates, and the words of both layers; those of the hidden layer alone in ``hidden``."""

    optimizer: Optimizer
    lr: float = 0.01
    factor: float = 1.0
    words: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """The hidden layer and the output layer."""
        return Layer(H, "tanh", **self.words, **self.hidden), Layer(K, "identity", **self.words)

    @property
    def rates(self) -> np.ndarray:
        """(100,) the rate of each step."""
        return self.lr * self.factor ** np.arange(EPOCHS * (N // B))


def torch_rule(name: str, **words: Any) -> Optimizer:
    return Optimizer(name, **words)


def keras_rule(name: str, **words: Any) -> Optimizer:
    return Optimizer(name, form="keras", **words)


def _cases(rule: Any) -> dict[str, Case]:
    """Those that both have."""
    return {
        "momentum": Case(rule("sgd", momentum=0.9), factor=0.99),
        "nesterov": Case(rule("sgd", momentum=0.8, nesterov=True), factor=1.01),
        "sgd decay": Case(rule("sgd", weight_decay=0.1), 0.1),
        "rmsprop": Case(rule("rmsprop")),
        "rmsprop, centred": Case(rule("rmsprop", centred=True, rho=0.8), factor=0.99),
        "rmsprop, momentum": Case(rule("rmsprop", momentum=0.5), 0.005, 0.98),
        "rmsprop, both": Case(rule("rmsprop", centred=True, momentum=0.8, weight_decay=0.01), 0.002, 1.01),
        "adam": Case(rule("adam")),
        "adam, large epsilon": Case(rule("adam", epsilon=0.01, beta1=0.8, beta2=0.9)),
        "amsgrad": Case(rule("adam", amsgrad=True, beta2=0.9, weight_decay=0.05), 0.03),
        "adamw": Case(rule("adamw", weight_decay=0.2), 0.02, 0.99),
        "adamw, as it is": Case(rule("adamw", amsgrad=True)),
        "nadam": Case(rule("nadam"), factor=0.99),
        "adamax": Case(rule("adamax", epsilon=1e-3)),
        "adagrad": Case(rule("adagrad"), 0.05),
        "adagrad, begun": Case(rule("adagrad", initial_accumulator=0.3, epsilon=1e-3), 0.05),
        "adadelta": Case(rule("adadelta"), 1.0),
        "adadelta, large epsilon": Case(rule("adadelta", epsilon=1e-3, rho=0.7), 0.5),
        "clip_norm": Case(rule("sgd", momentum=0.9, clip_norm=0.1, weight_decay=0.01), 0.05),
        "clip_value": Case(rule("adamw", clip_value=0.02)),
        "l1": Case(rule("sgd"), 0.1, words={"l1": 0.01}),
        "l2, clipped": Case(rule("adam", clip_norm=0.2), words={"l2": 0.05}),
        "frozen": Case(rule("rmsprop", clip_norm=0.2), hidden={"frozen": True, "l2": 0.1}),
        "no bias": Case(rule("adam", clip_norm=0.1), words={"bias": False}),
    }


TORCH = _cases(torch_rule) | {
    "nadam, decoupled": Case(torch_rule("nadam", decoupled=True, weight_decay=0.1)),
}
KERAS = _cases(keras_rule) | {
    "clip_each": Case(keras_rule("adam", clip_each=0.05)),
    "max_norm": Case(keras_rule("sgd", momentum=0.9), 0.1, words={"max_norm": 0.8}),
    "max_norm and the rest": Case(
        keras_rule("rmsprop", clip_norm=0.5), 0.02, words={"max_norm": 0.9, "l1": 0.001, "l2": 0.01}
    ),
}


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """X (N, D) and y (N,)."""
    draw = np.random.default_rng(3)
    X = draw.normal(size=(N, D)).astype(np.float32)
    return X, (X @ draw.normal(size=(D, K)) + draw.normal(size=(N, K))).argmax(axis=1)


def net_of(case: Case, dtype: Any = np.float32) -> Net:
    """The net before its training. Weights that no bias joins begin as those that one does."""
    hidden, output = case.layers
    architecture = Architecture(D, (hidden,), K, output)
    return Net(architecture, initialise(architecture, seed=1, dtype=dtype))


def ours(nn: ModuleType, case: Case, dtype: Any = np.float32, **options: Any) -> Parameters:
    """The weights after its training by a backend."""
    net, (X, y) = net_of(case, dtype), drawn()
    state = OptimizerState.start(net.parameters, case.optimizer)
    for rates in case.rates.reshape(EPOCHS, -1):
        nn.train_epoch(
            net, X, y, np.arange(N), batch_size=B, lr=rates, optimizer=case.optimizer, state=state, **options
        )
    return net.parameters


def by_torch(torch: Any, case: Case) -> list[np.ndarray]:
    """W1, b1, W2, b2 after the same by PyTorch; of a layer without a bias, zeros."""
    start, (X, y) = net_of(case).parameters, drawn()
    linear = [
        torch.nn.Linear(*W.shape, bias=layer.bias)
        for W, layer in zip(start.weights, case.layers, strict=True)
    ]
    for module, W, b, layer in zip(linear, start.weights, start.biases, case.layers, strict=True):
        module.weight.data = torch.from_numpy(W.T.copy())
        if layer.bias:
            module.bias.data = torch.from_numpy(b.copy())
        module.requires_grad_(not layer.frozen)
    net = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1])
    stepper = torch_optimizer(torch, net.parameters(), case.optimizer, case.lr)
    rates = torch.optim.lr_scheduler.LambdaLR(stepper, lambda step: case.factor**step)
    x, labels = torch.from_numpy(X), torch.from_numpy(y)
    for _, begin in itertools.product(range(EPOCHS), range(0, N, B)):
        stepper.zero_grad()
        value = torch.nn.functional.cross_entropy(net(x[begin : begin + B]), labels[begin : begin + B])
        for module, layer in zip(linear, case.layers, strict=True):
            value = value + layer.l1 * module.weight.abs().sum() + layer.l2 * (module.weight**2).sum()
        value.backward()
        if most := case.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(net.parameters(), most)
        if most := case.optimizer.clip_value:
            torch.nn.utils.clip_grad_value_(net.parameters(), most)
        stepper.step()
        rates.step()
    found = []
    for module, b in zip(linear, start.biases, strict=True):
        bias = 0 * b if module.bias is None else module.bias.detach().numpy()
        found += [module.weight.detach().numpy().T.copy(), bias]
    return found


def torch_class(torch: Any, name: str) -> Any:
    """PyTorch's optimizer of that name."""
    others = {"sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW", "nadam": "NAdam"}
    return getattr(torch.optim, others.get(name, name.capitalize()))


def torch_optimizer(torch: Any, parameters: Any, rule: Optimizer, lr: float) -> Any:
    """PyTorch's optimizer for that rule."""
    adam = {"betas": (rule.beta1, rule.beta2), "eps": rule.epsilon}
    own = {
        "sgd": {"momentum": rule.momentum, "nesterov": rule.nesterov},
        "rmsprop": {
            "alpha": rule.rho, "momentum": rule.momentum, "centered": rule.centred, "eps": rule.epsilon,
        },
        "adam": {"amsgrad": rule.amsgrad} | adam,
        "adamw": {"amsgrad": rule.amsgrad} | adam,
        "nadam": {"decoupled_weight_decay": rule.decoupled} | adam,
        "adamax": adam,
        "adagrad": {"initial_accumulator_value": rule.initial_accumulator, "eps": rule.epsilon},
        "adadelta": {"rho": rule.rho, "eps": rule.epsilon},
    }[rule.name]  # fmt: skip
    return torch_class(torch, rule.name)(parameters, lr=lr, weight_decay=rule.weight_decay, **own)


def by_keras(keras: Any, case: Case) -> list[np.ndarray]:
    """W1, b1, W2, b2 after the same by Keras; of a layer without a bias, zeros."""
    start, (X, y) = net_of(case).parameters, drawn()
    model = keras.Sequential([keras.Input(shape=(D,))])
    for layer in case.layers:
        model.add(
            keras.layers.Dense(
                layer.width, activation="tanh" if layer.act == "tanh" else None, use_bias=layer.bias,
                trainable=not layer.frozen,
                kernel_regularizer=keras.regularizers.L1L2(layer.l1, layer.l2),
                kernel_constraint=keras.constraints.MaxNorm(layer.max_norm) if layer.max_norm else None,
            )
        )  # fmt: skip
    for dense, W, b in zip(model.layers, start.weights, start.biases, strict=True):
        dense.set_weights([W, b][: len(dense.get_weights())])
    rates = keras.optimizers.schedules.ExponentialDecay(case.lr, 1, case.factor)
    model.compile(
        optimizer=keras_optimizer(keras, case.optimizer, rates),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(X, y, batch_size=B, epochs=EPOCHS, shuffle=False, verbose=0)
    found = []
    for dense, b in zip(model.layers, start.biases, strict=True):
        W, *bias = dense.get_weights()
        found += [W, *(bias or [0 * b])]
    return found


def keras_optimizer(keras: Any, rule: Optimizer, rates: Any) -> Any:
    """Keras' optimizer for that rule."""
    betas, small = {"beta_1": rule.beta1, "beta_2": rule.beta2}, {"epsilon": rule.epsilon}
    own = {
        "sgd": {"momentum": rule.momentum, "nesterov": rule.nesterov},
        "rmsprop": {"rho": rule.rho, "momentum": rule.momentum, "centered": rule.centred} | small,
        "adam": {"amsgrad": rule.amsgrad} | betas | small,
        "adamw": {"amsgrad": rule.amsgrad} | betas | small,
        "nadam": betas | small,
        "adamax": betas | small,
        "adagrad": {"initial_accumulator_value": rule.initial_accumulator} | small,
        "adadelta": {"rho": rule.rho} | small,
    }[rule.name]
    return keras_class(keras, rule.name)(
        rates, weight_decay=rule.weight_decay or None, clipnorm=rule.clip_each or None,
        global_clipnorm=rule.clip_norm or None, clipvalue=rule.clip_value or None, **own,
    )  # fmt: skip


def keras_class(keras: Any, name: str) -> Any:
    """Keras' optimizer of that name."""
    others = {"sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW"}
    return getattr(keras.optimizers, others.get(name, name.capitalize()))
