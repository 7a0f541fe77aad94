"""Trainings by fit, and the scores of evaluate."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from compare import check
from nets import learnable, net_of
from small_keras import D, K, N, net

import fastmlp
from fastmlp import reference
from fastmlp.backends.state import OptimizerState, rates
from fastmlp.backends.threads import ThreadTuner
from fastmlp.keras import callbacks, losses, optimizers
from fastmlp.keras.layers import Activation, Dense
from fastmlp.keras.models import Sequential
from fastmlp.keras.utils import set_random_seed, to_categorical
from fastmlp.words.optimizers import Optimizer

pytestmark = pytest.mark.usefixtures("numpy_backend")


def by_hand(weights, X, y, epochs, *, optimizer, lr, loss="logits"):
    """The same epochs by the reference, without shuffling."""
    parameters = fastmlp.Parameters.from_keras(weights)
    state = OptimizerState.start(parameters, optimizer)
    losses = [
        reference.train_epoch(
            net_of(parameters),
            X,
            y,
            np.arange(N),
            loss=loss,
            lr=lr,
            batch_size=40,
            optimizer=optimizer,
            state=state,
        ).loss
        for _ in range(epochs)
    ]
    return losses, list(parameters)


@pytest.mark.parametrize(
    ("optimizer", "rule", "lr"),
    [
        ("sgd", Optimizer(), 0.01),
        ("SGD", Optimizer(), 0.01),
        (optimizers.SGD(lr=0.1), Optimizer(), 0.1),
        (optimizers.SGD(0.1, 0.9), Optimizer(momentum=0.9), 0.1),
        (optimizers.SGD(0.1, 0.9, True), Optimizer(momentum=0.9, nesterov=True), 0.1),
        (optimizers.SGD(0.1, nesterov=True), Optimizer(), 0.1),
        ("adam", Optimizer("adam", epsilon=1e-7, form="keras"), 0.001),
        (
            optimizers.Adam(0.01, 0.8, 0.9, 1e-3),
            Optimizer("adam", 0, False, 0.8, 0.9, 1e-3, form="keras"),
            0.01,
        ),
    ],
)
def test_fits_go_on_from_each_other_as_one(data, optimizer, rule, lr):
    model = net(optimizer)
    losses, weights = by_hand(model.get_weights(), *data, 4, optimizer=rule, lr=lr)
    got = []
    for epochs in (1, 3):
        got += model.fit(*data, batch_size=40, epochs=epochs, verbose=0, shuffle=False).history["loss"]
    assert got == losses
    assert all(map(np.array_equal, model.get_weights(), weights))
    assert model.optimizer.iterations == 4 * 8


def test_losses_by_name_and_object(data):
    """Keras on TensorFlow takes the logits in each of these, found in its ``_get_logits``."""
    X, y = data[0] * np.float32(100), data[1]  # logits far beyond the clip
    one, sparse, hot = (
        losses.CategoricalCrossentropy,
        losses.SparseCategoricalCrossentropy,
        to_categorical(y, K),
    )
    seen = set()
    for loss, target, softmax, word in (
        ("categorical_crossentropy", hot, True, "logits"),
        ("CategoricalCrossentropy", hot, True, "logits"),
        (losses.categorical_crossentropy, hot, True, "logits"),
        (one, hot, True, "logits"),
        (one(), hot, True, "logits"),
        (one(clip="keras2"), hot, True, "keras2"),
        (one(from_logits=True), hot, False, "logits"),
        ("sparse_categorical_crossentropy", y.reshape(-1, 1), True, "logits"),
        (sparse(), y.astype(np.float32), True, "logits"),
        (sparse(clip="keras2"), y, True, "keras2"),
        (sparse(from_logits=True), y, False, "logits"),
    ):
        for last in ([Dense(K, "softmax")], [Dense(K), Activation("softmax")]) if softmax else ([Dense(K)],):
            model = Sequential([Dense(8, "relu", input_dim=D), *last])
            rng = np.random.default_rng(1)
            model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
            model.compile("sgd", loss)
            want, _ = by_hand(model.get_weights(), X, y, 1, optimizer=Optimizer(), lr=0.01, loss=word)
            theirs = net_of(fastmlp.Parameters.from_keras(model.get_weights()))
            answer = reference.predict_proba if softmax else reference.logits
            assert np.array_equal(model.predict(X, verbose=0), answer(theirs, X))
            scored = reference.evaluate(theirs, X, y, loss=word).loss
            assert model.evaluate(X, target, verbose=0) == scored
            assert model.fit(X, target, batch_size=40, verbose=0, shuffle=False).history == {"loss": want}
            seen.add((word, scored))
    assert len(seen) == 2


def test_a_clip_is_of_probabilities_and_has_one_name():
    for loss in (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy):
        with pytest.raises(ValueError, match=r"clip must be None with from_logits=True; got 'keras2'\. End"):
            loss(from_logits=True, clip="keras2")
        for wrong in ("keras3", 1e-7, True, ""):
            with pytest.raises(ValueError, match="clip must be one of keras2"):
                loss(clip=wrong)


def test_the_logits_of_a_softmax_are_taken_also_where_the_loss_is_told_of_logits(data):
    """As Keras does on TensorFlow, which warns too."""
    X, y = data
    ended = []
    for told in (False, True):
        set_random_seed(3)
        model = net(loss=losses.SparseCategoricalCrossentropy(from_logits=told))
        with pytest.warns(UserWarning, match="its logits are taken") if told else contextlib.nullcontext():
            ended.append(model.fit(X, y, verbose=0).history)
    assert ended[0] == ended[1]


def test_adams_epsilon_as_a_hat():
    """w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)."""
    hat, plain = (Optimizer("adam", epsilon=0.1, form=form) for form in ("keras", "torch"))
    pairs = zip(rates(hat, 0.1, 5, 3), rates(plain, 0.1, 5, 3), strict=True)
    for t, ((_, rate, root, _), (_, usual, usual_root, _)) in enumerate(pairs, 6):
        assert root == 1
        assert rate == pytest.approx(0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t))
        assert rate == pytest.approx(usual * usual_root)


def test_epochs_are_shuffled_anew_in_every_fit(data):
    ended = []
    for fits in ((2, 2), (4,)):
        set_random_seed(9)
        model = net()
        for epochs in fits:
            model.fit(*data, epochs=epochs, verbose=0)
        ended.append(model.get_weights())
    assert all(map(np.array_equal, *ended))
    model.set_weights(before := [np.ones_like(w) for w in model.get_weights()])
    a = model.fit(*data, verbose=0).history
    model.set_weights(before)
    assert model.fit(*data, verbose=0).history != a


def test_histories_and_scores(data):
    X, y = data
    model = net()
    history = model.fit(X, y, epochs=3, verbose=0, validation_split=0.25)
    assert history is model.history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 8}
    loss, accuracy = model.evaluate(X[225:], y[225:], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert history.history["val_accuracy"][-1] == accuracy
    assert model.metrics_names == ["loss", "accuracy"]
    assert model.evaluate(X, y, verbose=0, return_dict=True).keys() == {"accuracy", "loss"}
    assert accuracy == (model.predict(X[225:], verbose=0).argmax(axis=1) == y[225:]).mean()
    assert isinstance(net(metrics=None).evaluate(X, y, verbose=0), float)
    assert list(net(metrics="acc").fit(X, y, verbose=0).history) == ["acc", "loss"]
    kept = callbacks.History()
    assert model.fit(X, y, epochs=7, initial_epoch=5, verbose=0, callbacks=kept) is kept
    assert kept.epoch == [5, 6]
    assert model.fit(X, y, epochs=3, initial_epoch=5, verbose=0).history == {}


def test_every_kind_of_number_is_taken():
    X, y = learnable(4, N, D, K)
    histories = []
    for kind in (np.uint8, np.int64, np.float64, np.float32):
        model = net()
        model.set_weights([np.full_like(w, 0.01) for w in model.get_weights()])
        histories.append(model.fit(X.astype(kind), y, verbose=0, shuffle=False).history)
    assert all(history == histories[0] for history in histories)


def test_sparse_matrices_are_taken(data, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    monkeypatch.setattr(Sequential, "backend", "numba")
    X, y = data
    ended = []
    for x in (X, sparse.csr_matrix(X)):
        set_random_seed(2)
        model = net()
        history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.2)
        ended.append((history.history["val_loss"], model.predict(x, verbose=0)))
    check("loss", ended[1][0], ended[0][0])
    check("probabilities", ended[1][1], ended[0][1])


def test_x_is_encoded_once_a_fit_and_threads_keep_their_pace(data, monkeypatch):
    encode, Session, encoded, seen = reference.encode, reference.Session, [], []

    def watched_encode(X):
        encoded.append(encode(X).copy())
        return encoded[-1]

    def watched_session(net, X, y, **options):
        assert y.dtype == np.int64
        seen.append((X, y, options["threads"]))
        return Session(net, X, y, **options)

    monkeypatch.setattr(reference, "encode", watched_encode)
    monkeypatch.setattr(reference, "Session", watched_session)
    net(loss="categorical_crossentropy").fit(data[0], to_categorical(data[1], K), epochs=3, verbose=0)
    assert len(encoded) == 1
    assert len(seen) == 2  # one sample first, to compile and to start threads
    assert {id(X) for X, _, _ in seen} == {id(encoded[0])}
    assert len({id(y) for _, y, _ in seen}) == 1
    assert isinstance(seen[1][2], ThreadTuner)
