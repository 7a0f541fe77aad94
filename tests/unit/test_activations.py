"""The reference's activations: against float64 twins, central differences and PyTorch's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from compare import check, check_named
from exact_activations import EXACT, KINKS
from nets import call, values, weights

from fastmlp import Architecture, ConfigError, Layer, Net, reference
from fastmlp.diagnosis.curvature import SECOND
from fastmlp.diagnosis.measures import SHAPES, layers
from fastmlp.net import Parameters
from fastmlp.words.activations import ACTIVATIONS, checked_act, parts_of
from fastmlp.words.layers import layers_of

Z = np.linspace(-7.3, 7.9, 1_001)
H = 1e-3  # of differences by four points


def differences(function, z, h=H):
    """The derivative of a function of numbers at z."""
    near, far = function(z + h) - function(z - h), function(z + 2 * h) - function(z - 2 * h)
    return (8 * near - far) / (12 * h)


def kinks_of(act):
    """Where a derivative jumps, of elu the second."""
    return KINKS.get(act, (0.0,) if act == "elu" else ())


def off_kinks(act):
    """Z without what is near a kink."""
    return Z[[all(abs(z - kink) > 3 * H for kink in kinks_of(act)) for z in Z]]


def test_every_activation_is_in_every_table():
    names = set(ACTIVATIONS)
    assert {act.partition(":")[0] for act in EXACT} == names
    assert names == set(reference.ACTIVATIONS) == set(SECOND) == set(SHAPES)
    assert list(reference.ACTIVATIONS) == list(ACTIVATIONS)


@pytest.mark.parametrize("act", EXACT)
def test_activations_and_slopes_equal_their_twins(act):
    a, slope = reference.activated(act, Z)
    check("float64 naive", a, EXACT[act][0](Z))
    check("float64 naive", slope, EXACT[act][1](Z))
    narrow = reference.activated(act, Z.astype(np.float32))
    assert narrow[0].dtype == narrow[1].dtype == np.float32
    check("outputs", narrow[0], a)
    check("outputs", narrow[1], slope)


@pytest.mark.parametrize("act", EXACT)
def test_slopes_are_central_differences(act):
    z = off_kinks(act)
    slope = reference.activated(act, z)[1]
    check("central differences", differences(lambda z: reference.activated(act, z)[0], z), slope)


@pytest.mark.parametrize("act", EXACT)
def test_second_derivatives_are_central_differences_of_slopes(act):
    z, (name, number) = off_kinks(act), parts_of(act)
    found = SECOND[name](z, reference.activated(act, z)[0], number)
    wanted = differences(lambda z: reference.activated(act, z)[1], z)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    curved = {"elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "sigmoid", "tanh"}
    assert found.any() == (name in curved)


@pytest.mark.parametrize("act", EXACT)
def test_gradients_of_nets_are_central_differences(act):
    """Of a net of three layers, but for entries whose step takes a unit over a kink."""
    rng = np.random.default_rng(3)
    architecture = Architecture(6, layers_of((5, 4), act), 3)
    net = Net(architecture, weights(rng, architecture).astype(np.float64))
    X, y = values(rng, "float32 dense", 7, 6).astype(np.float64), rng.integers(0, 3, 7)
    gradients = reference.loss_and_gradients(net, X, y).gradients

    def sides():
        """On which side of each kink every unit is."""
        found, a = [], X
        for W, b in zip(net.parameters.weights[:-1], net.parameters.biases[:-1], strict=True):
            z = a @ W + b
            found += [z > kink for kink in kinks_of(act)]
            a = EXACT[act][0](z)
        return np.concatenate([side.ravel() for side in found]) if found else np.zeros(0)

    here, kept, wanted = sides(), [], []
    for array, gradient in zip(net.parameters, gradients, strict=True):
        flat = array.reshape(-1)
        for i, value in enumerate(flat.tolist()):
            slope, same = 0.0, True
            for steps, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                flat[i] = value + steps * H
                same &= bool((sides() == here).all())
                slope += weight * reference.evaluate(net, X, y).loss / (12 * H)
            flat[i] = value
            if same:
                kept.append(gradient.reshape(-1)[i])
                wanted.append(slope)
    assert len(kept) > 0.9 * sum(array.size for array in net.parameters)
    check("central differences", wanted, kept)


# torch 2.13.0 in float64 at -2.5, -0.4, 0.3 and 1.7: outputs and slopes, of its functions by these names
# (hard_sigmoid: hardsigmoid, whose slope it rounds to float32; gelu_tanh: gelu(approximate="tanh")).
TORCH = {
    "relu": ([0.0, 0.0, 0.3, 1.7], [0.0, 0.0, 1.0, 1.0]),
    "leaky_relu": ([-0.025, -0.004, 0.3, 1.7], [0.01, 0.01, 1.0, 1.0]),
    "leaky_relu:0.3": ([-0.75, -0.12, 0.3, 1.7], [0.3, 0.3, 1.0, 1.0]),
    "elu": (
        [-0.9179150013761013, -0.32967995396436073, 0.3, 1.7],
        [0.0820849986238988, 0.6703200460356393, 1.0, 1.0],
    ),
    "elu:1.5": (
        [-1.376872502064152, -0.4945199309465411, 0.3, 1.7],
        [0.1231274979358482, 1.0054800690534589, 1.0, 1.0],
    ),
    "selu": (
        [-1.6137857588732425, -0.5796101097553361, 0.31521029620664415, 1.7861916785043168],
        [0.1443135819741343, 1.1784892310920407, 1.0507009873554805, 1.0507009873554805],
    ),
    "gelu": (
        [-0.015524163314440398, -0.13783130335587032, 0.1853734266566858, 1.6242387133104768],
        [-0.03761108590814519, 0.1972702022683465, 0.7323277668271099, 1.1153179687821648],
    ),
    "gelu_tanh": (
        [-0.015084266089998577, -0.13783883057264382, 0.18537092354275922, 1.624105895551156],
        [-0.03795157621266618, 0.19734116557943862, 0.7322954516388018, 1.115914631452605],
    ),
    "silu": (
        [-0.18964545005310887, -0.1605249359550192, 0.1723327550434977, 1.437409049357991],
        [-0.09940111134152683, 0.3052080415909363, 0.6477800103188829, 1.067564504759019],
    ),
    "softplus": (
        [0.07888973429254963, 0.5130152523999526, 0.8543552444685272, 1.867786029386266],
        [0.07585818002124356, 0.401312339887548, 0.574442516811659, 0.8455347349164652],
    ),
    "sigmoid": (
        [0.07585818002124355, 0.401312339887548, 0.574442516811659, 0.8455347349164652],
        [0.07010371654510815, 0.24026074574152914, 0.24445831169074586, 0.13060574696620808],
    ),
    "hard_sigmoid": (
        [0.08333333333333333, 0.43333333333333335, 0.5499999999999999, 0.7833333333333333],
        [0.1666666716337204, 0.1666666716337204, 0.1666666716337204, 0.1666666716337204],
    ),
    "tanh": (
        [-0.9866142981514303, -0.3799489622552249, 0.2913126124515909, 0.935409070603099],
        [0.02659222668316057, 0.8556387860811777, 0.9151369618266292, 0.1250098706334466],
    ),
    "identity": ([-2.5, -0.4, 0.3, 1.7], [1.0, 1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("act", TORCH)
def test_activations_are_torchs(act):
    found = reference.activated(act, np.array([-2.5, -0.4, 0.3, 1.7]))
    for got, want in zip(found, TORCH[act], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-7 if act == "hard_sigmoid" else 1e-10)


def test_a_mixture_of_layers_is_that_of_each():
    rng = np.random.default_rng(5)
    acts = ("gelu", "hard_sigmoid:0.3", "softplus", "relu")
    architecture = Architecture(6, tuple(Layer(3 + i, act) for i, act in enumerate(acts)), 2)
    p = weights(rng, architecture).astype(np.float64)
    X = rng.normal(size=(5, 6))
    outputs, a = reference.forward(Net(architecture, p), X), X
    for act, W, b, got in zip(acts, p.weights, p.biases, outputs, strict=False):
        a = EXACT[act][0](a @ W + b)
        check("float64 naive", got, a)


@pytest.mark.parametrize(
    "act", ["gelu:1", "leaky_relu:0", "leaky_relu:-1", "elu:nan", "elu:inf", "elu:", "GELU", ""]
)
def test_what_is_no_activation_is_refused(act):
    with pytest.raises(ConfigError, match=r"act must be|number of"):
        checked_act(act)


@pytest.mark.parametrize("act", EXACT)
def test_layers_are_measured_by_where_they_are_flat(act):
    """Three units: far below 0 for every row, far above, and on both sides."""
    W, b = np.zeros((1, 3)), np.array([-200.0, 200.0, 0.0])
    W[0, 2] = 30
    p = Parameters((W, np.ones((3, 2))), (b, np.zeros(2)))
    state = layers(Net(Architecture(1, layers_of((3,), act), 2), p), np.array([[-1.0], [1.0]]))[0]
    flat = SHAPES[act.partition(":")[0]].flat
    third = pytest.approx(1 / 3)
    assert (state.dead, state.always_on) == ((third, third) if flat == "below" else (None, None))
    assert state.saturated == (1 if flat == "both" else None)


def test_call_takes_numbers_of_activations():
    X, y = np.eye(3), np.arange(3)
    p = weights(np.random.default_rng(0), Architecture(3, (4,), 3)).astype(np.float64)
    found = [
        call(reference.loss_and_gradients, p, X, y, act=act).gradients
        for act in ("elu", "elu:1.0", "elu:1.5")
    ]
    check_named("float64 naive", found[0], found[1])
    assert (found[0].weights[0] != found[2].weights[0]).any()
