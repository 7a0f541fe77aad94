"""From an optimizer, a loss and the words of a net's layers to the structs of a pass of training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.backends.state import rates
from fastmlp.kernels import layout, losses, plain_words
from fastmlp.kernels.limits import NO_LIMITS, PREPARE, SHORTEN, Limits
from fastmlp.kernels.losses import NO_LOSS, NO_LOSS64
from fastmlp.kernels.optimizers import NO_RULE, NO_RULE64, STEPS, STEPS64, Rule
from fastmlp.net import Net
from fastmlp.words.layers import Layer
from fastmlp.words.losses import Loss
from fastmlp.words.optimizers import Optimizer

Array = NDArray[Any]

SLACK = 1e-6  # that PyTorch adds to a norm that is over its limit


class Steps(NamedTuple):
    """The way in which each batch of a pass changes its target: fields of epoch.Training."""

    rule: Rule
    limits: Limits
    target: Array
    alphas: Array
    rows: Array


def gradients_of(net: Net, work: layout.Work) -> Steps:
    """Make the steps of one batch by which the target becomes its gradients, of frozen layers too."""
    rows = [shape[0] + layer.bias for shape, layer in _layers(net)]
    target = layout.aligned_like(work.weights.theta)
    return Steps(NO_RULE, NO_LIMITS, target, np.ones(1, np.float32), np.array(rows, np.int64))


def steps_of(net: Net, optimizer: Optimizer, work: layout.Work) -> Steps:
    """Make the steps of a training, whose averages are zeros laid out as theta. They have no rates yet."""
    theta, limits = work.weights.theta, limits_of(net, optimizer)
    trained = [(shape[0] + layer.bias) * (not layer.frozen) for shape, layer in _layers(net)]
    rows, no_alphas = np.array(trained, np.int64), np.empty(0, np.float32)
    if optimizer.plain and not (limits.l1.any() or limits.l2.any()):
        return Steps(NO_RULE, limits, theta, no_alphas, rows)
    rule = rule_of(optimizer, [layout.aligned_like(theta) for _ in range(optimizer.moments)])
    return Steps(rule, limits, layout.aligned_like(theta), no_alphas, rows)


def rated(steps: Steps, optimizer: Optimizer, lr: float | Array, taken: int, batches: int) -> Steps:
    """The same at the rates of so many batches, after those taken; ``lr``: of them all, or (batches,)."""
    found = rates(optimizer, lr, taken, batches).astype(np.float32)
    if steps.rule.plain:
        return steps._replace(alphas=-found[:, 1].copy())
    rule, alphas = steps.rule._replace(rates=found.reshape(-1)), np.ones(batches, np.float32)
    return steps._replace(rule=rule, alphas=alphas)


def rule_of(optimizer: Optimizer, averages: list[Array], number: Any = np.float32) -> Rule:
    """The optimizer's rule, which is not the plain one, in that number type. It has no rates yet."""
    none, steps = (NO_RULE, STEPS) if number is np.float32 else (NO_RULE64, STEPS64)
    others = [word for word in ("centred", "amsgrad", "momentum") if getattr(optimizer, word)]
    name = "adam" if optimizer.name == "adamw" else optimizer.name
    inner, outer = optimizer.epsilons
    numbers: dict[str, Any] = {
        "momentum": optimizer.momentum, "rest1": 1 - optimizer.beta1, "beta2": optimizer.beta2,
        "rest2": 1 - optimizer.beta2, "rho": optimizer.rho, "rest": 1 - optimizer.rho, "inner": inner,
        "outer": outer, "weight_decay": 0.0 if optimizer.decoupled else optimizer.weight_decay,
        "alpha": optimizer.alpha,
    }  # fmt: skip
    kept: dict[str, Any] = dict(zip(("first", "second", "third"), averages, strict=False))
    return none._replace(
        plain=False, step=steps[" ".join([name, *others])].place, nesterov=optimizer.nesterov,
        **{word: number(value) for word, value in numbers.items()} | kept,
    )  # fmt: skip


def loss_of(
    loss: Loss, y: Array, K: int, weights: Array | None = None, number: Any = np.float32
) -> losses.Loss:
    """The loss of a net of K outputs, in that number type, against targets as ``checked_targets`` returns
    them. It has the addresses of y and weights: whoever calls keeps these.
    """
    is_single = number is np.float32
    none, heads = (NO_LOSS, losses.HEADS) if is_single else (NO_LOSS64, plain_words.HEADS)
    name, smoothed, shared = _HEADS.get(loss.name, loss.name), loss.label_smoothing, y.ndim == 2
    of_loss, of_slope = _SUMS.get(loss.name) or (1 / K, (2 if name == "squared" else 1) / K)
    low, high = loss.clip or (0.0, 1.0)
    arrays = {"targets": y.reshape(-1)} if shared else {"y": y}
    if weights is not None:
        arrays["weights"] = weights
    numbers = {
        "low": low, "high": high, "kept": 1 - smoothed, "spread": smoothed / (2 if name == "binary" else K),
        "most": loss.most(float(np.finfo(number).eps)), "number": loss.numbers[0] if loss.numbers else 0,
        "of_loss": of_loss, "of_slope": of_slope,
    }  # fmt: skip
    fields: dict[str, Any] = {word: number(value) for word, value in numbers.items()}
    fields |= {word: layout.plain(np.ascontiguousarray(array)) for word, array in arrays.items()}
    return none._replace(
        head=heads["shares" if name == "softmax" and (shared or smoothed) else name].place, shared=shared,
        weighted=weights is not None, clipped=loss.clip is not None, **fields,
    )  # fmt: skip


# The head of each loss that has not one of its own name.
_HEADS = {
    "logits": "softmax", "keras2": "softmax", "clip": "softmax", "log_loss": "softmax",
    "binary_log_loss": "binary", "half_squared": "squared",
}  # fmt: skip
_SUMS = {"binary_log_loss": (1.0, 1.0), "half_squared": (0.5, 1.0), "half_deviance": (1.0, 1.0)}  # not means


def limits_of(net: Net, optimizer: Optimizer) -> Limits:
    """The limits that the net's layers, but the frozen ones, and the optimizer ask for."""
    layers = [layer for _, layer in _layers(net)]
    clips = optimizer.clip_norm or optimizer.clip_each or optimizer.clip_value
    if not clips and not any(layer.l1 or layer.l2 or layer.max_norm for layer in layers):
        return NO_LIMITS
    l1, l2, longest = (_each(layers, word) for word in ("l1", "l2", "max_norm"))
    total = sum(shape[0] + 1 + 2 * (layer.batch_norm is not None) for shape, layer in _layers(net))
    units = sum(layer.width for layer in layers)
    norm = optimizer.clip_norm or optimizer.clip_each
    found = NO_LIMITS._replace(
        l1=l1.astype(np.float32), l2=(2 * l2).astype(np.float32), cuts=optimizer.clip_value > 0,
        scales=norm > 0, most=optimizer.clip_value or norm, each=optimizer.clip_each > 0,
        slack=SLACK if optimizer.form == "torch" else 0.0, rows=total, norms=longest,
        turns=1 + (norm > 0) + bool(longest.any()),
    )  # fmt: skip
    if l1.any() or l2.any() or found.cuts or found.scales:
        found = found._replace(prepare=PREPARE.place, sums=np.zeros(total))
    if longest.any():
        found = found._replace(shorten=SHORTEN.place, columns=np.zeros(units))
    return found


def _layers(net: Net) -> list[tuple[tuple[int, int], Layer]]:
    """Shape and words of each layer."""
    return list(zip(net.architecture.shapes, net.architecture.all_layers, strict=True))


def _each(layers: list[Layer], word: str) -> NDArray[np.float64]:
    return np.array([0.0 if layer.frozen else layer.word(word) for layer in layers])
