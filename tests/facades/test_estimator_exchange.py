"""Tools that know scikit-learn's estimators take what ``to_sklearn`` returns: skl2onnx and skops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("skl2onnx", reason="needs fastmlp[sklearn,parity]")
pytest.importorskip("onnxruntime", reason="needs fastmlp[sklearn,parity]")
pytest.importorskip("skops", reason="needs fastmlp[sklearn,parity]")

import onnxruntime
import skl2onnx
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 4)).astype(np.float32) * 40
Z = X @ rng.normal(size=(4, 3)).astype(np.float32)
CASES = {
    "two": (MLPClassifier(6), (Z[:, 0] > 0).astype(int)),
    "two texts, clipped": (
        MLPClassifier(6, loss="clip:1e-10,0.999999"),
        np.array(["no", "yes"])[(Z[:, 0] > 0) + 0],
    ),
    "many": (MLPClassifier((6, 5), activation="tanh", scale=40), Z.argmax(axis=1)),
    "batch norm": (MLPClassifier(6, activation="logistic", batch_norm=True), Z.argmax(axis=1)),
    "several labels": (MLPClassifier(6), (Z > 0).astype(int)),
    "numbers": (MLPRegressor(hidden_layer_sizes=6, scale=40), Z[:, 0]),
    "many numbers": (MLPRegressor(hidden_layer_sizes=()), Z),
}


@pytest.mark.parametrize("case", CASES)
def test_skl2onnx_and_onnxruntime(case):
    net, y = CASES[case]
    net.set_params(max_iter=20, random_state=0, learning_rate_init=0.01).fit(X, y)
    options = {"zipmap": False} if isinstance(net, MLPClassifier) else None
    theirs = net.to_sklearn()
    onnx = skl2onnx.to_onnx(theirs, X[:1], options=None if options is None else {id(theirs): options})
    session = onnxruntime.InferenceSession(onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    labels, *probabilities = session.run(None, {session.get_inputs()[0].name: X})
    if probabilities:
        np.testing.assert_allclose(probabilities[0], net.predict_proba(X), rtol=1e-4, atol=2e-6)
        np.testing.assert_array_equal(labels, net.predict(X))
    else:
        np.testing.assert_allclose(labels.reshape(net.predict(X).shape), net.predict(X), rtol=1e-4, atol=1e-4)


def test_skl2onnx_takes_a_pipeline():
    net = make_pipeline(StandardScaler(), MLPClassifier(6, max_iter=20, random_state=0)).fit(
        X, Z.argmax(axis=1)
    )
    net.steps[-1] = ("net", net[-1].to_sklearn())
    onnx = skl2onnx.to_onnx(net, X[:1], options={id(net[-1]): {"zipmap": False}})
    session = onnxruntime.InferenceSession(onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: X})[1]
    np.testing.assert_allclose(found, net.predict_proba(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_skops(case):
    net, y = CASES[case]
    theirs = net.set_params(max_iter=3, random_state=0).fit(X, y).to_sklearn()
    file = skops.io.dumps(theirs)
    assert b"fastmlp" not in file
    trusted = skops.io.get_untrusted_types(data=file)
    assert all(name.startswith("sklearn.neural_network.") for name in trusted)  # its optimizers
    again = skops.io.loads(file, trusted=trusted)
    assert np.array_equal(again.predict(X), theirs.predict(X))
    again.partial_fit(X, y)
