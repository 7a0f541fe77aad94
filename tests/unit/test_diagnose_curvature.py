"""Curvature: exact products against dense float64 matrices of small nets, and the top eigenvalue."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from nets import net_of

from fastmlp import Architecture, initialise, reference
from fastmlp.diagnosis import measures
from fastmlp.diagnosis.curvature import BENDS, Surface, top_eigenvalue
from fastmlp.words import losses
from fastmlp.words.activations import ACTIVATIONS
from fastmlp.words.layers import layers_of
from fastmlp.words.losses import Loss

LOSSES = ("logits", "keras2", "clip:0.2,0.5")
BOTH = list(itertools.product(ACTIVATIONS, LOSSES))


def small(act, hidden=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    p = initialise(Architecture(5, layers_of(hidden, act), 3), seed=seed).astype(np.float64)
    for b in p.biases:
        b += rng.normal(size=b.shape) * 0.3
    return p, rng.normal(size=(9, 5)), rng.integers(0, 3, 9)


def moved(p, v):
    q, at = p.copy(), 0
    for array in q:
        array += v[at : at + array.size].reshape(array.shape)
        at += array.size
    return q


def differences(function, size, h=2e-5):  # small: a corner of ReLU must not lie between
    """The derivative of a vector function by each parameter, by four points: (size, ...)."""
    rows = []
    for e in np.eye(size) * h:
        near, far = function(e) - function(-e), function(2 * e) - function(-2 * e)
        rows.append((8 * near - far) / (12 * h))
    return np.stack(rows)


@pytest.mark.parametrize(("act", "loss"), BOTH)
def test_hessian_products_are_those_of_the_dense_hessian(act, loss):
    p, x, y = small(act)
    surface = Surface(net_of(p, act), x, y, loss)

    def gradient(v):
        g = reference.loss_and_gradients(net_of(moved(p, v), act), x, y, loss=loss).gradients
        return np.concatenate([array.ravel() for array in g])

    dense = differences(gradient, surface.size)
    products = np.stack([surface.hessian(e) for e in np.eye(surface.size)])
    np.testing.assert_allclose(products, dense, atol=1e-8)
    np.testing.assert_allclose(products, products.T, atol=1e-14)
    np.testing.assert_allclose(surface.gradient(), gradient(np.zeros(surface.size)), atol=1e-15)


@pytest.mark.parametrize(("act", "loss"), BOTH)
def test_gauss_newton_products_are_those_of_the_dense_matrix(act, loss):
    p, x, y = small(act, seed=1)
    surface = Surface(net_of(p, act), x, y, loss)
    J = differences(
        lambda v: reference.forward(net_of(moved(p, v), act), x)[-1], surface.size
    )  # (size, N, K)
    by_logits = np.einsum("nk,kl->nkl", surface.p, np.eye(3)) - surface.p[:, :, None] * surface.p[:, None, :]
    dense = np.einsum("ink,nkl,jnl,n->ij", J, by_logits, J, surface.live) / len(x)
    products = np.stack([surface.gauss_newton(e) for e in np.eye(surface.size)])
    np.testing.assert_allclose(products, dense, atol=1e-8)
    assert np.linalg.eigvalsh(products).min() > -1e-12


OTHERS = (
    ("logits", 0.2), ("keras2", 0.1), ("clip:0.2,0.5", 0.2), ("binary", 0.0), ("binary", 0.2),
    ("binary:0.3,0.6", 0.1), ("squared", 0.0), ("half_squared", 0.0), ("absolute", 0.0), ("huber:0.5", 0.0),
    ("poisson", 0.0), ("log_loss", 0.2), ("binary_log_loss", 0.2), ("half_deviance", 0.0),
)  # fmt: skip


def test_every_loss_is_known():
    named = {Loss.of(loss).name for loss in (*LOSSES, *(loss for loss, _ in OTHERS))}
    assert named == set(losses.LOSSES)
    assert set(BENDS) == {name for name, word in losses.LOSSES.items() if word.task != "classes"}


@pytest.mark.parametrize(("loss", "smoothing"), OTHERS)
def test_the_hessian_knows_every_loss(loss, smoothing):
    p, x, _ = small("tanh")
    y = np.random.default_rng(3).random((9, 3))
    net, options = net_of(p, "tanh"), {"loss": loss, "label_smoothing": smoothing}
    surface = Surface(net, x, y, **options)

    def gradient(v):
        g = reference.loss_and_gradients(net_of(moved(p, v), "tanh"), x, y, **options).gradients
        return np.concatenate([array.ravel() for array in g])

    dense = differences(gradient, surface.size)
    products = np.stack([surface.hessian(e) for e in np.eye(surface.size)])
    np.testing.assert_allclose(products, dense, atol=1e-8)
    np.testing.assert_allclose(surface.gradient(), gradient(np.zeros(surface.size)), atol=1e-15)


@pytest.mark.parametrize("loss", ["logits", "clip:0.2,0.5", *(loss for loss, _ in OTHERS[3:])])
def test_without_hidden_layers_both_are_the_same(loss):
    p, x, y = small("relu", hidden=())
    y = y if Loss.of(loss).task == "classes" else np.random.default_rng(3).random((9, 3))
    surface = Surface(net_of(p), x, y, loss)
    v = np.random.default_rng(0).normal(size=surface.size)
    np.testing.assert_allclose(surface.hessian(v), surface.gauss_newton(v), atol=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_top_eigenvalue_keeps_its_sign(sign):
    rng = np.random.default_rng(2)
    A = rng.normal(size=(60, 60))
    A = sign * (A @ A.T) - sign * 5 * np.eye(60)
    want = max(np.linalg.eigvalsh(A), key=abs)
    assert np.sign(want) == sign
    assert top_eigenvalue(lambda v: A @ v, 60, tolerance=1e-10) == pytest.approx(want, rel=1e-9)
    assert top_eigenvalue(lambda v: A @ v, 60, tolerance=1e-2) == pytest.approx(want, rel=1e-2)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_top_eigenvalue_of_tiny_and_singular_matrices(size):
    assert top_eigenvalue(lambda v: 3 * v, size) == pytest.approx(3)
    assert top_eigenvalue(lambda v: 0 * v, size) == 0


def test_a_product_that_overflows_has_an_infinite_eigenvalue():
    assert top_eigenvalue(lambda v: v * np.inf, 7) == np.inf
    assert top_eigenvalue(lambda v: v * np.nan, 7) == np.inf


@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_safe_factor_is_the_edge(act):
    p, x, y = small(act)
    net, x = net_of(p, act), x * 50
    lr = 20 / measures.gauss_newton(net, x, y)
    factor = measures.safe_factor(net, x, y, lr)
    assert factor > 1
    assert lr * measures.gauss_newton(net, x / factor, y) <= 2
    assert lr * measures.gauss_newton(net, x / factor * 1.1, y) > 2
    assert measures.safe_factor(net, x, y, lr / 100) == 1
    assert measures.safe_factor(net, x, y, 1e9, most=100) is None


def test_no_factor_is_safe_where_the_output_layer_is_steep_by_itself():
    """Sigmoids of nothing are 0.5: the curvature of the layer after them does not fall with the inputs."""
    p, x, y = small("sigmoid")
    net = net_of(p, "sigmoid")
    lr = 20 / measures.gauss_newton(net, 0 * x, y)
    assert measures.safe_factor(net, x, y, lr) is None
