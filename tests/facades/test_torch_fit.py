"""fastmlp.torch.fit takes the steps of a PyTorch loop, and leaves a module as PyTorch does (``parity``)."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
from compare import check
from nets import learnable

import fastmlp
from fastmlp import random
from fastmlp.torch import OF_THE_MODULE

torch = pytest.importorskip("torch")
nn = torch.nn

N, D, K = 330, 40, 5  # batches of 50: the last one is short
MODULES = {
    "relu": lambda: nn.Sequential(nn.Linear(D, 16), nn.ReLU(), nn.Linear(16, K)),
    "sigmoid": lambda: nn.Sequential(nn.Linear(D, 12), nn.Sigmoid(), nn.Linear(12, K)),
    "tanh": lambda: nn.Sequential(nn.Linear(D, 12), nn.Tanh(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, K)),
    "identity": lambda: nn.Sequential(nn.Linear(D, 8), nn.Identity(), nn.Linear(8, K)),
    "none between": lambda: nn.Sequential(nn.Linear(D, 8), nn.Linear(8, K), nn.Identity()),
    "no hidden": lambda: nn.Sequential(nn.Linear(D, K)),
}
OPTIMIZERS = [
    ({"lr": 0.1}, lambda p: torch.optim.SGD(p, 0.1)),
    ({"lr": 0.1, "weight_decay": 0.01}, lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01)),
    ({"lr": 0.05, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.05, 0.9)),
    (
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.05, 0.8, nesterov=True, weight_decay=0.01),
    ),
    ({"lr": 0.01, "optimizer": "adam"}, lambda p: torch.optim.Adam(p, 0.01)),
    (
        {"lr": 0.01, "optimizer": "adam", "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-5, "weight_decay": 0.01},
        lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.99), 1e-5, weight_decay=0.01),
    ),
]


@pytest.fixture(scope="module")
def data():
    X, y = learnable(8, N, D, K)
    return (X / 255).astype(np.float32), y


def module_of(act="relu"):
    torch.manual_seed(5)
    return MODULES[act]()


def torch_loop(module, X, y, optimizer, *, batch_size, epochs, seed, schedule=None, by_step=False):
    """Mean losses of the epochs of a plain PyTorch loop over the same batches."""
    X, y, lossf = torch.from_numpy(X), torch.from_numpy(y), nn.CrossEntropyLoss()
    losses = []
    for epoch in range(1, epochs + 1):
        order, total = torch.from_numpy(random.permutation(N, seed, "order", epoch)), 0.0
        for rows in order.split(batch_size):
            optimizer.zero_grad()
            loss = lossf(module(X[rows]), y[rows])
            loss.backward()
            optimizer.step()
            if schedule and by_step:
                schedule.step()
            total += loss.item() * len(rows)
        losses.append(total / N)
        if schedule and not by_step:
            schedule.step()
    return losses


def same_steps(data, act, options, make, schedule=None):
    X, y = data
    theirs, ours = module_of(act), module_of(act)
    optimizer = make(theirs.parameters())
    steps = {"batch_size": 50, "epochs": 4, "seed": 3}
    by_step = "/step" in options.get("schedule", "")
    made = schedule and schedule(optimizer)
    losses = torch_loop(theirs, X, y, optimizer, **steps, schedule=made, by_step=by_step)
    history = fastmlp.torch.fit(ours, X, y, **steps, **options)
    check("trajectory loss", [result.train_loss for result in history.epochs], losses)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        check("trajectory weights", a.numpy(), b.numpy(), name)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("options", "make"), OPTIMIZERS)
def test_the_steps_of_torch_optim(data, options, make):
    same_steps(data, "relu", options, make)


@pytest.mark.parametrize("act", MODULES)
def test_the_steps_of_every_module(data, act):
    same_steps(data, act, *OPTIMIZERS[0])


def test_the_steps_of_torch_schedules(data):
    schedulers, lr = torch.optim.lr_scheduler, OPTIMIZERS[2][0]["lr"]
    for word, make in (
        ("cosine", lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 4)),
        ("step:2,0.1", lambda optimizer: schedulers.StepLR(optimizer, 2, 0.1)),
        ("exponential:0.9/step", lambda optimizer: schedulers.ExponentialLR(optimizer, 0.9)),
        ("onecycle/step", lambda optimizer: schedulers.OneCycleLR(optimizer, lr, 28, cycle_momentum=False)),
        ("warmup:5/step", lambda optimizer: schedulers.LinearLR(optimizer, 1 / 6, 1.0, 5)),
    ):
        same_steps(data, "relu", {**OPTIMIZERS[2][0], "schedule": word}, OPTIMIZERS[2][1], make)


def test_the_module_keeps_its_storage(data):
    module = module_of()
    before = {name: (tensor, tensor.clone(), tensor.data_ptr()) for name, tensor in module.named_parameters()}
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    fastmlp.torch.fit(module, *data, epochs=1)
    for name, tensor in module.named_parameters():
        same, old, address = before[name]
        assert tensor is same
        assert tensor.data_ptr() == address
        assert tensor.requires_grad
        assert not torch.equal(tensor, old)
    torch_loop(module, *data, optimizer, batch_size=50, epochs=1, seed=0)  # and goes on in PyTorch


def test_tensors_are_as_good_as_arrays(data):
    X, y = data
    ended = []
    for give in (lambda a: a, lambda a: torch.from_numpy(a), lambda a: a.tolist()):
        module = module_of()
        fastmlp.torch.fit(
            module, give(X), np.array(give(y)) if give(y) is y else give(y), epochs=2, threads=1
        )
        ended.append(torch.cat([tensor.flatten() for tensor in module.state_dict().values()]))
    assert torch.equal(ended[0], ended[1])
    assert torch.equal(ended[0], ended[2])


def test_it_is_evaluated_stopped_and_watched(data):
    X, y = data
    module, seen, told = module_of(), [], []

    def callback(result, same):
        assert same is module
        assert result.test_accuracy == pytest.approx(
            float((same(torch.from_numpy(X)).argmax(dim=1).numpy() == y).mean())
        )
        seen.append(result.epoch)
        return result.epoch == 3

    history = fastmlp.torch.fit(
        module, X, torch.from_numpy(y), lr=0.1, epochs=9, test_data=(X, y), validation=0.2,
        callbacks=[callback], progress=lambda epoch, samples: told.append((epoch, samples)),
    )  # fmt: skip
    assert isinstance(history, fastmlp.History)
    assert seen == [1, 2, 3] == [result.epoch for result in history.epochs]
    assert history.epochs[-1].validation_loss > 0
    assert told[-1] == (3, N - round(0.2 * N))


def test_weights_of_the_best_epoch_come_back(data):
    module, kept = module_of(), []
    X, y = data[0], np.random.default_rng(1).permutation(data[1])  # nothing to learn but by heart
    history = fastmlp.torch.fit(
        module, X, y, optimizer="adam", lr=0.05, epochs=40, validation=0.2, patience=2,
        callbacks=[lambda result, module: kept.append(copy.deepcopy(module.state_dict()))],
    )  # fmt: skip
    assert history.best_epoch < len(history.epochs) < 40
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, kept[history.best_epoch - 1][name])


def test_divergence_leaves_the_last_good_epoch(data):
    X, y = data
    module = module_of()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(fastmlp.DivergedError):
        fastmlp.torch.fit(module, X * np.float32(1e20), y, lr=1e18)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


class Other(nn.Linear):
    pass


def frozen():
    module = module_of()
    module[0].weight.requires_grad_(False)
    return module


def tied():
    linear, relu = nn.Linear(8, 8), nn.ReLU()  # one ReLU in several places is fine
    return nn.Sequential(nn.Linear(D, 8), relu, linear, relu, linear, relu, nn.Linear(8, K))


@pytest.mark.parametrize(
    ("module", "kind", "match"),
    [
        (lambda: nn.Linear(D, K), TypeError, "Sequential; got Linear"),
        (lambda: nn.Sequential(nn.Linear(D, 9), nn.Dropout(), nn.Linear(9, K)), TypeError, "1, Dropout"),
        (lambda: nn.Sequential(nn.Linear(D, 9), nn.GELU(), nn.Linear(9, K)), TypeError, "layer 1, GELU"),
        (lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.Linear(D, K)), TypeError, "layer 0, Conv1d"),
        (lambda: nn.Sequential(Other(D, K)), TypeError, "layer 0, Other"),
        (lambda: nn.Sequential(nn.Linear(D, K), nn.Softmax(1)), TypeError, "layer 1, Softmax"),
        (lambda: nn.Sequential(nn.Linear(D, K), nn.ReLU()), ValueError, "last layer must be Linear"),
        (lambda: nn.Sequential(nn.ReLU(), nn.Linear(D, K)), ValueError, "follow a Linear"),
        (lambda: nn.Sequential(nn.Linear(D, 9, bias=False), nn.ReLU(), nn.Linear(9, K)), ValueError, "bias"),
        (lambda: module_of().double(), ValueError, "float64 on cpu in layer 0"),
        (lambda: module_of().to("meta"), ValueError, "on meta"),
        (lambda: nn.Sequential(), ValueError, "none"),
        (lambda: nn.Sequential(nn.Linear(D, 1)), ValueError, "classes"),
        (lambda: nn.Sequential(nn.Linear(D, 9), nn.ReLU(), nn.Linear(8, K)), ValueError, "fan_in"),
        (frozen, ValueError, "requires_grad"),
        (tied, ValueError, "share"),
    ],
)  # fmt: skip
def test_other_modules_are_refused_by_name(data, module, kind, match):
    with pytest.raises(kind, match=match):
        fastmlp.torch.fit(module(), *data)


@pytest.mark.parametrize("loss", ["binary", "squared", "poisson"])
def test_losses_of_other_targets_are_refused(data, loss):
    with pytest.raises(ValueError, match=r"loss must be logits, keras2, clip:LO,HI, log_loss.*; got"):
        fastmlp.torch.fit(module_of(), *data, loss=loss)


@pytest.mark.parametrize("name", OF_THE_MODULE)
def test_what_the_module_has_is_no_field(data, name):
    """Taken in silence, it would be ignored, or another net than the module's would be trained."""
    with pytest.raises(TypeError, match=f"takes no {name}"):
        fastmlp.torch.fit(nn.Sequential(nn.Linear(D, K)), *data, **{name: fastmlp.Training().word(name)})
    assert name not in inspect.signature(fastmlp.torch.fit).parameters


@pytest.mark.parametrize(
    "word", [{"dropout": 0.2}, {"batch_norm": True}, {"bias": False}, {"input_dropout": 0.2}]
)
def test_a_training_with_layers_that_the_module_has_not_is_refused(data, word):
    (name,) = word
    with pytest.raises(fastmlp.ConfigError, match=f"^{name} must be left to the module"):
        fastmlp.torch.fit(nn.Sequential(nn.Linear(D, K)), *data, fastmlp.Training(**word))


def test_data_that_do_not_fit_are_refused(data):
    X, y = data
    for wrong, kind, match in (
        ((X[:, 1:], y), ValueError, r"shape \(N, 40\)"),
        ((X, y[1:]), ValueError, "330 integers"),
        ((X, np.eye(K)[y]), ValueError, "330 integers"),
        ((X, y + 1), ValueError, "0 to 4"),
        ((X, y.astype(float)), ValueError, "330 integers"),
        ((torch.from_numpy(X).to("meta"), y), TypeError, "on meta"),
        ((torch.from_numpy(X).to_sparse(), y), TypeError, "dense"),
        ((np.full_like(X, np.nan), y), ValueError, "finite"),
    ):
        module = module_of()
        before = copy.deepcopy(module.state_dict())
        with pytest.raises(kind, match=match):
            fastmlp.torch.fit(module, *wrong)
        assert all(torch.equal(a, before[name]) for name, a in module.state_dict().items())
    for options in (
        {"lr": 0},
        {"optimizer": "lbfgs"},
        {"loss": "mse"},
        {"batch_size": 0},
        {"backend": "torch"},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            fastmlp.torch.fit(module_of(), X, y, **options)
