"""The same weights and the same order of samples give PyTorch's numbers (the extra ``parity``).

CI installs PyTorch; elsewhere these tests are skipped without it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from compare import check, check_named, error
from nets import ACTS, CASES, LOSSES, call, draw, edge_free, learnable, net_of

from fastmlp import Architecture, Model, Parameters, initialise, kernels, random, reference
from fastmlp.backends.state import OptimizerState
from fastmlp.words.layers import layers_of
from fastmlp.words.losses import clip_bounds
from fastmlp.words.optimizers import Optimizer

torch = pytest.importorskip("torch")

BOTH = pytest.mark.parametrize("nn", [kernels, reference], ids=["kernels", "reference"])
MODULES = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "leaky_relu:0.3": lambda: torch.nn.LeakyReLU(0.3),
    "elu": torch.nn.ELU,
    "elu:1.5": lambda: torch.nn.ELU(1.5),
    "selu": torch.nn.SELU,
    "gelu": torch.nn.GELU,
    "gelu_tanh": lambda: torch.nn.GELU(approximate="tanh"),
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
    "hard_sigmoid": torch.nn.Hardsigmoid,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "identity": torch.nn.Identity,
}


def sequential(p: Parameters, act: str):
    """torch.nn.Sequential(Linear, act, ..., Linear) with these weights."""
    parts, dtype = [], torch.from_numpy(p.weights[0]).dtype
    for shape in p.shapes:
        parts += [torch.nn.Linear(*shape, dtype=dtype), MODULES[act]()]
    net = torch.nn.Sequential(*parts[:-1])
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in p.to_torch().items()})
    return net


def parameters_of(net) -> Parameters:
    return Parameters.from_torch({name: t.detach().numpy() for name, t in net.state_dict().items()})


def gradients_of(net) -> Parameters:
    return Parameters.from_torch({name: t.grad.numpy() for name, t in net.named_parameters()})


def torch_loss(logits, y, loss):
    """Mean loss: CrossEntropyLoss, or -log(clamp(softmax)), as Keras 2 writes it."""
    if loss == "logits":
        return torch.nn.functional.cross_entropy(logits, y)
    low, high = clip_bounds(loss)
    p = torch.softmax(logits, dim=1)
    p = p / p.sum(dim=1, keepdim=True)
    # clamp lets the gradient pass where low <= p <= high, and stops it outside
    return -torch.log(torch.clamp(p, low, high))[torch.arange(len(y)), y].mean()


def tensors(case, dtype):
    x = torch.from_numpy(case.inputs().astype(dtype))
    return x, torch.from_numpy(case.y)


@cache
def drawn_words() -> list[tuple[str, str]]:
    """Activation and loss of each seed's case."""
    return [(case.act, case.loss) for case in map(draw, range(CASES))]


@BOTH
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_torch_gives_the_same_outputs_losses_and_gradients(nn, act, loss):
    wanted = [s for s, words in enumerate(drawn_words()) if words == (act, loss)]
    compared = 0
    for seed in wanted[::2]:
        case = edge_free(draw(seed))
        if case is None:
            continue
        assert (case.act, case.loss) == (act, loss)
        net = sequential(case.parameters, act)
        x, y = tensors(case, np.float32)
        logits = net(x)
        value = torch_loss(logits, y, loss)
        value.backward()
        exact = call(
            reference.loss_and_gradients,
            case.parameters.astype(np.float64),
            case.X,
            case.y,
            loss=loss,
            **case.options,
        ).gradients
        got = call(nn.loss_and_gradients, case.parameters, case.X, case.y, loss=loss, **case.options)
        outputs = call(nn.forward, case.parameters, case.X, **case.options)
        check("torch outputs", outputs[-1], logits.detach().numpy(), str(case))
        check("torch loss", got.loss, value.item(), str(case))
        for (name, g), (_, w), e in zip(got.gradients.named(), gradients_of(net).named(), exact, strict=True):
            what = "torch gradient" if error(w, e) < 3e-6 else "cancelling gradient"
            check(what, g, w, f"{name} {case}")
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("act", MODULES)
def test_reference_equals_torch_in_float64(act):
    for loss in LOSSES if act in ACTS else LOSSES[:1]:
        for seed in range(3000, 3012):
            case = draw(seed, most_inputs=60, most_units=40, most_samples=50)
            p = case.parameters.astype(np.float64)
            net = sequential(p, act)
            x, y = tensors(case, np.float64)
            value = torch_loss(net(x), y, loss)
            value.backward()
            options = {**case.options, "act": act, "loss": loss}
            got = call(reference.loss_and_gradients, p, case.X, case.y, **options)
            # torch rounds the slope of hardsigmoid to float32; its softplus is z from 20 on
            kind = "torch float64" if act not in ("hard_sigmoid", "softplus") else "torch loss"
            check(kind, got.loss, value.item(), str(case))
            check_named(kind, got.gradients, gradients_of(net), str(case))


RULES = {
    "momentum": Optimizer(momentum=0.9),
    "nesterov": Optimizer(momentum=0.9, nesterov=True, weight_decay=1e-3),
    "decay": Optimizer(weight_decay=0.01),
    "adam": Optimizer("adam"),
    "adam decay": Optimizer("adam", beta1=0.8, beta2=0.99, epsilon=1e-4, weight_decay=1e-3),
}


def torch_optimizer(net, optimizer, lr):
    if optimizer.name == "adam":
        return torch.optim.Adam(
            net.parameters(), lr=lr, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.epsilon,
            weight_decay=optimizer.weight_decay,
        )  # fmt: skip
    return torch.optim.SGD(
        net.parameters(), lr=lr, momentum=optimizer.momentum, nesterov=optimizer.nesterov,
        weight_decay=optimizer.weight_decay,
    )  # fmt: skip


@BOTH
@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("weighted", [False, True])
def test_optimizers_take_torchs_steps(nn, rule, weighted):
    """A hundred of them, with weights of classes where ``weighted``."""
    X, y = learnable(11, 400, 60, 5)
    p, optimizer, lr = initialise(Architecture(60, (24,), 5)), RULES[rule], 0.002
    by_class = np.array([0.5, 2, 1, 0, 3], np.float32) if weighted else None
    net = sequential(p, "relu")
    stepper = torch_optimizer(net, optimizer, lr)
    score = torch.nn.CrossEntropyLoss(weight=None if by_class is None else torch.from_numpy(by_class))
    x, labels = torch.from_numpy(X / np.float32(255)), torch.from_numpy(y)
    state = OptimizerState.start(p, optimizer)
    for step in range(100):
        rows = random.permutation(400, 0, "order", step)[:50]
        stepper.zero_grad()
        value = score(net(x[rows]), labels[rows])
        value.backward()
        stepper.step()
        ours = nn.train_epoch(
            net_of(p, scale=255), X, y, rows, batch_size=50, lr=lr, optimizer=optimizer, state=state,
            sample_weight=None if by_class is None else by_class[y],
        )  # fmt: skip
        check("trajectory loss", ours.loss, value.item(), f"step {step + 1}")
    check_named("trajectory weights", p, parameters_of(net))


def torch_trajectory(p, X, y, orders, *, act, loss, lr, scale):
    """Losses of SGD on those batches, and the weights after them."""
    net = sequential(p, act)
    optimiser = torch.optim.SGD(net.parameters(), lr=lr)
    x, labels, losses = torch.from_numpy(X.astype(np.float32) / np.float32(scale)), torch.from_numpy(y), []
    for rows in orders:
        optimiser.zero_grad()
        value = torch_loss(net(x[rows]), labels[rows], loss)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return np.array(losses), parameters_of(net)


def same_as_torch(nn, X, y, architecture, *, loss, lr, scale=255.0):
    start = initialise(architecture)
    orders = [random.permutation(len(X), 0, "order", step)[:100] for step in range(100)]
    options = {
        "act": architecture.acts[0] if architecture.acts else "relu",
        "loss": loss,
        "lr": lr,
        "scale": scale,
    }
    losses, weights = torch_trajectory(start, X, y, orders, **options)
    p, data = start.copy(), nn.encode(X)
    ours = [call(nn.train_epoch, p, data, y, rows, **options).loss for rows in orders]
    for step, (a, b) in enumerate(zip(ours, losses, strict=True)):
        check("trajectory loss", a, b, f"step {step + 1}")
    check_named("trajectory weights", p, weights)
    assert losses[-1] < 0.95 * losses[0]


@BOTH
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("loss", ["logits", "clip:1e-10,0.999999", "keras2"])
def test_torch_takes_the_same_100_steps(nn, act, loss):
    X, y = learnable(5, 1000, 196, 6)
    hidden = {"relu": (40,), "sigmoid": (30,), "tanh": (24, 12), "identity": (), "leaky_relu": (20, 9)}[act]
    same_as_torch(nn, X, y, Architecture(196, layers_of(hidden, act), 6), loss=loss, lr=0.2)


@BOTH
@pytest.mark.parametrize("act", [act for act in MODULES if act not in ACTS])
def test_torch_takes_the_same_100_steps_with_every_activation(nn, act):
    X, y = learnable(5, 1000, 196, 6)
    same_as_torch(nn, X, y, Architecture(196, layers_of((20, 9), act), 6), loss="logits", lr=0.2)


@BOTH
def test_torch_takes_the_same_100_steps_on_mnist(nn, mnist_folder):
    from fastmlp.data import load

    data = load(str(mnist_folder))
    same_as_torch(nn, data.X, data.y, Architecture(784, (100,), 10), loss="logits", lr=0.01)


def test_torch_takes_a_saved_model_as_it_is(tmp_path):
    from safetensors.torch import load_file

    X, y = learnable(6, 200, 64, 5)
    for act, hidden in (("relu", (20,)), ("tanh", (16, 9)), ("sigmoid", ())):
        architecture = Architecture(64, layers_of(hidden, act), 5)
        p = initialise(architecture, "torch", seed=3)
        for nn in (kernels, reference):
            nn.train_epoch(net_of(p, act=act, scale=255), X, y, np.arange(200), lr=0.1)
        model = Model(net_of(p, act, 255.0), tuple(range(5)))
        model.save(tmp_path / "model.safetensors")
        net = sequential(initialise(architecture), act)
        net.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
        with torch.no_grad():
            want = torch.softmax(net(torch.from_numpy(X.astype(np.float32) / np.float32(255))), dim=1).numpy()
        check("probabilities", model.predict_proba(X), want)
        check("probabilities", Model.load(tmp_path / "model.safetensors").predict_proba(X), want)


def test_torch_initialisation_has_the_spread_of_linear():
    """Weights and biases are U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), as torch.nn.Linear draws them."""
    ours = initialise(Architecture(400, (300,), 10), "torch")
    theirs = torch.nn.Linear(400, 300)
    for a, b in ((ours.weights[0], theirs.weight), (ours.biases[0], theirs.bias)):
        limit = 1 / 20
        for values in (a, b.detach().numpy()):
            assert abs(values).max() <= limit
            assert abs(values).max() > 0.98 * limit
            assert abs(values.std() * 20 * 3**0.5 - 1) < 0.1
