"""A hundred steps of every loss beside PyTorch's, from the same weights (the extra ``parity``)."""

from __future__ import annotations

import numpy as np
import pytest
from compare import check, check_named
from nets import net_of, weights

from fastmlp import Architecture, Parameters, kernels, reference
from fastmlp.train.loop import weights_of
from fastmlp.words.layers import layers_of
from fastmlp.words.losses import LOSSES

pytestmark = pytest.mark.slow

B, STEPS, CLASS_WEIGHT = 20, 100, (0.5, 1.0, 3.0)
CASES = {  # loss, label smoothing, K, form of y, and PyTorch's function with its words
    "logits": ("logits", 0.0, 3, "indices", "cross_entropy", {}),
    "smoothed": ("logits", 0.1, 3, "indices", "cross_entropy", {"label_smoothing": 0.1}),
    "shares": ("logits", 0.0, 3, "between", "cross_entropy", {}),
    "shares, smoothed": ("logits", 0.1, 3, "between", "cross_entropy", {"label_smoothing": 0.1}),
    "classes weighted": ("logits", 0.0, 3, "weighted", "cross_entropy", {"weight": CLASS_WEIGHT}),
    "one label": ("binary", 0.0, 1, "labels", "binary_cross_entropy_with_logits", {}),
    "labels": ("binary", 0.0, 5, "labels", "binary_cross_entropy_with_logits", {}),
    "labels between": ("binary", 0.0, 5, "between", "binary_cross_entropy_with_logits", {}),
    "one number": ("squared", 0.0, 1, "numbers", "mse_loss", {}),
    "squared": ("squared", 0.0, 4, "numbers", "mse_loss", {}),
    "absolute": ("absolute", 0.0, 4, "numbers", "l1_loss", {}),
    "huber": ("huber:0.5", 0.0, 4, "numbers", "huber_loss", {"delta": 0.5}),
    "poisson": ("poisson", 0.0, 4, "counts", "poisson_nll_loss", {"log_input": True, "full": False}),
}


def problem(name):
    """First weights, X (2000, 12), y, and PyTorch's y."""
    rng, (_, _, K, form, _, _) = np.random.default_rng(len(name)), CASES[name]
    N, architecture = B * STEPS, Architecture(12, layers_of((9,), "tanh"), CASES[name][2])
    X = rng.normal(size=(N, 12)).astype(np.float32)
    if form in ("indices", "weighted"):
        y = rng.integers(0, K, N)
    else:
        y = rng.random((N, K)).astype(np.float32)
        y = {"labels": np.round(y), "numbers": 3 * y - 1, "counts": np.floor(4 * y)}.get(form, y)
    return weights(rng, architecture), X, y


@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    loss, smoothing, K, form, function, words = CASES[name]
    start, X, y = problem(name)
    module = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.Tanh(), torch.nn.Linear(9, K))
    module.load_state_dict({key: torch.from_numpy(array) for key, array in start.to_torch().items()})
    words = {word: torch.tensor(v) if isinstance(v, tuple) else v for word, v in words.items()}
    steps = torch.optim.SGD(module.parameters(), 0.05)
    for i in range(0, len(X), B):
        steps.zero_grad()
        wanted = torch.from_numpy(y[i : i + B])
        getattr(torch.nn.functional, function)(
            module(torch.from_numpy(X[i : i + B])), wanted, **words
        ).backward()
        steps.step()
    state = {key: array.detach().numpy() for key, array in module.state_dict().items()}
    sample_weight = weights_of(y, K, CLASS_WEIGHT, None) if form == "weighted" else None
    for nn in (kernels, reference):
        net = net_of(start.copy(), "tanh")
        nn.train_epoch(
            net, X, y, np.arange(len(X)), loss=loss, label_smoothing=smoothing, lr=0.05, batch_size=B,
            sample_weight=sample_weight,
        )  # fmt: skip
        check_named(
            "trajectory weights", net.parameters, Parameters.from_torch(state), f"{name} {nn.__name__}"
        )
        with torch.no_grad():
            total = getattr(torch.nn.functional, function)(
                module(torch.from_numpy(X)), torch.from_numpy(y), **words
            )
        if form != "weighted":
            tested = nn.evaluate(net, X, y, loss=loss, label_smoothing=smoothing)
            check("trajectory loss", tested.loss, total.item(), name)


def test_every_loss_that_pytorch_has_is_a_case():
    assert {case[0].partition(":")[0] for case in CASES.values()} == set(LOSSES) - {
        "clip",
        "keras2",
        "half_squared",
        "log_loss",
        "binary_log_loss",
        "half_deviance",
    }
