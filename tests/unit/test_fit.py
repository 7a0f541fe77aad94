"""fit, the epoch loop and its results: defaults, callbacks, progress, divergence, interruption, refusals."""

from __future__ import annotations

import dataclasses
import inspect
import json
import multiprocessing
import threading

import numpy as np
import pytest
from nets import net_of

import fastmlp
from fastmlp import ConfigError, DataError, DivergedError, ModelError, Training, random, reference
from fastmlp.net import initialise
from fastmlp.train.steps import BY_DATA
from fastmlp.words.layers import Architecture

pytestmark = pytest.mark.usefixtures("no_work_is_tiny")

BACKENDS = ("numba", "numpy")


def blobs(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of 8 x 8 uint8 pictures, each around its own pattern, labelled 2, 5 and 7."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    patterns = np.random.default_rng(99).integers(0, 2, (3, 64)) * 160
    X = np.clip(patterns[y] + rng.normal(0, 30, (n, 64)), 0, 255).astype(np.uint8)
    return X, np.array([2, 5, 7])[y]


QUICK = {"hidden": 16, "epochs": 3, "lr": 0.1, "batch_size": 32}


def test_defaults_are_those_of_training():
    signature = inspect.signature(fastmlp.fit).parameters
    for field in dataclasses.fields(Training):
        default = signature[field.name].default
        if field.name in BY_DATA:
            assert default is None
        else:
            assert getattr(Training(**{field.name: default}), field.name) == field.default


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_learns_and_tells_each_epoch(backend, capsys):
    X, y = blobs()
    X_test, y_test = blobs(200, seed=1)
    seen, progress = [], []
    model, history = fastmlp.fit(
        X, y, backend=backend, test_data=(X_test, y_test), **QUICK,
        callbacks=[lambda result, m: seen.append((result, m.parameters.sha256()))],
        progress=lambda epoch, samples: progress.append((epoch, samples)),
    )  # fmt: skip
    assert capsys.readouterr() == ("", "")
    assert history.epochs == [result for result, _ in seen]
    assert [result.epoch for result in history.epochs] == [1, 2, 3]
    assert len({digest for _, digest in seen}) == 3
    assert seen[-1][1] == model.parameters.sha256()
    last = history.epochs[-1]
    assert last.test_accuracy > 0.95
    assert last.train_loss < history.epochs[0].train_loss
    assert model.evaluate(X_test, y_test)[:2] == (last.test_loss, last.test_accuracy)
    assert last.live_share == 1
    assert last.dead_units == reference.dead_units(net_of(model.parameters, scale=255), X)
    assert last.samples_per_second == pytest.approx(len(X) / last.seconds)
    assert history.seconds_training == sum(result.seconds for result in history.epochs)
    assert history.backend == backend
    json.dumps(last.to_json(), allow_nan=False)
    assert progress == sorted(progress)
    assert {epoch for epoch, _ in progress} == {1, 2, 3}
    assert {(epoch, len(X)) for epoch in (1, 2, 3)} <= set(progress)
    assert max(samples for _, samples in progress) == len(X)


def test_backends_agree():
    X, y = blobs()
    models = [fastmlp.fit(X, y, backend=backend, **QUICK)[0] for backend in BACKENDS]
    for a, b in zip(models[0].parameters, models[1].parameters, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_running_means_are_those_of_the_batches():
    X, y = blobs(100)
    parameters = initialise(Architecture(64, (16,), 3), seed=3)
    indices = np.searchsorted([2, 5, 7], y)
    order = random.permutation(100, 3, "order", 1)
    losses, correct = 0.0, 0
    for start in range(0, 100, 32):
        rows = order[start : start + 32]
        step = reference.loss_and_gradients(net_of(parameters, scale=255), X[rows], indices[rows])
        losses, correct = losses + step.loss * len(rows), correct + step.correct
        for array, gradient in zip(parameters, step.gradients, strict=True):
            array -= np.float32(0.1) * gradient
    _, history = fastmlp.fit(X, y, seed=3, **{**QUICK, "epochs": 1})
    assert history.epochs[0].train_loss == pytest.approx(losses / 100, rel=1e-5)
    assert history.epochs[0].train_accuracy == correct / 100


def test_without_test_data_there_is_no_test_result():
    X, y = blobs(60)
    _, history = fastmlp.fit(X, y, **QUICK)
    assert history.epochs[0].test_loss is history.epochs[0].test_accuracy is None


def test_a_callback_that_returns_true_ends_the_training():
    X, y = blobs(60)
    _, history = fastmlp.fit(X, y, **QUICK, callbacks=[lambda r, m: r.epoch == 2, lambda r, m: None])
    assert len(history.epochs) == 2


def test_initial_weights_are_taken_and_left_alone():
    X, y = blobs(60)
    initial = initialise(Architecture(64, (16,), 3), seed=7)
    before = initial.sha256()
    model, _ = fastmlp.fit(X, y, initial=initial, **QUICK)
    same, _ = fastmlp.fit(X, y, init="glorot_uniform", seed=0, initial=initial.copy(), **QUICK)
    assert initial.sha256() == before != model.parameters.sha256() == same.parameters.sha256()


def test_centre_subtracts_the_training_mean():
    X, y = blobs()
    model, _ = fastmlp.fit(X, y, center=True, **QUICK)
    mean = model.preprocessing.mean
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-6)
    x = (X.astype(np.float32) - mean) * np.float32(1 / 255)
    by_hand, _ = fastmlp.fit(x, y, scale=1, optimizer="sgd", **QUICK)
    np.testing.assert_allclose(model.predict_proba(X), by_hand.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_divergence_says_where_and_keeps_the_last_good_model(backend):
    X, y = blobs()
    with pytest.raises(DivergedError, match=r"batch \d+ of epoch 1, with lr 1e\+20") as caught:
        fastmlp.fit(X, y, hidden=16, lr=1e20, scale=1, backend=backend)
    error = caught.value
    assert (error.epoch, error.history.epochs) == (1, [])
    assert error.batch >= 1
    assert error.model.parameters.sha256() == initialise(Architecture(64, (16,), 3)).sha256()
    assert "smaller lr" in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_leaves_the_last_finished_epoch(backend):
    X, y = blobs()
    kept = []

    def interrupt(epoch: int, samples: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(
            X, y, backend=backend, progress=interrupt, **QUICK,
            callbacks=[lambda r, m: kept.append((m.parameters.sha256(), m))],
        )  # fmt: skip
    ((digest, model),) = kept
    assert model.parameters.sha256() == digest


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 2)), [0, 1, 0], "same length; got 4 and 3"),
        (np.zeros((4, 2)), [0, 0, 0, 0], "at least two different labels; got 0 alone"),
        (np.zeros((4, 2)), [0, 1, None, 0], "a label in every row; got a missing one in row 2"),
        (np.zeros((4, 2)), [0, "b", 1, 0], "numbers alone"),
        (np.zeros((4, 2)), None, "y must be an array of labels or numbers beside an array X; got None"),
        (np.zeros((4, 2)), "species", r"y must be an array .* beside an array X; got 'species'"),
        (np.zeros((4, 2)), [[[0]], [[1]], [[1]], [[0]]], r"y must have shape \(N,\)"),
        (np.zeros(4), [0, 1, 1, 0], r"rows of shape \(N, D\).*got shape \(4,\). Use X\[None\] for one row"),
        (np.zeros((0, 2)), [], r"rows of shape \(N, D\)"),
        (np.array([[0, np.nan], [1, 1]]), [0, 1], "finite in float32; got nan in row 0, column 1"),
        (np.array([[0, 1e300], [1, 1]]), [0, 1], "finite in float32; got inf in row 0, column 1"),
        (np.array([["a", "b"]]), [0], "must hold numbers"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_trained_on_is_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        fastmlp.fit(X, y)


def test_options_out_of_range_are_refused_together():
    X, y = blobs(10)
    with pytest.raises(ConfigError) as caught:
        fastmlp.fit(X, y, lr=-1, hidden=0, act="swish")
    assert all(word in str(caught.value) for word in ("lr", "hidden", "swish"))
    for options in ({"threads": 0}, {"threads": "many"}, {"backend": "cuda"}):
        with pytest.raises(ConfigError):
            fastmlp.fit(X, y, **options)


def test_test_data_and_initial_weights_of_another_shape_are_refused():
    X, y = blobs(60)
    with pytest.raises(DataError, match="the labels of training alone, 2, 5, 7; got 3 in row 0"):
        fastmlp.fit(X, y, test_data=(X, np.full(60, 3)))
    with pytest.raises(
        DataError, match="test data must have as many features as the training part, 64; got 9"
    ):
        fastmlp.fit(X, y, test_data=(X[:, :9], y))
    with pytest.raises(ModelError, match="initial weights must have shapes"):
        fastmlp.fit(X, y, initial=initialise(Architecture(64, (5,), 3)))


def test_inputs_of_every_kind_are_taken():
    X, y = blobs(60)
    want = fastmlp.fit(X, y, **QUICK)[0].parameters.sha256()
    for same in (X.reshape(-1, 8, 8), np.asfortranarray(X), X[::-1][::-1], X.copy().tolist()):
        array = np.array(same, np.uint8) if isinstance(same, list) else same
        assert fastmlp.fit(array, y.astype(np.uint8), **QUICK)[0].parameters.sha256() == want
    frozen = X.copy()
    frozen.setflags(write=False)
    assert fastmlp.fit(frozen, y.tolist(), **QUICK)[0].parameters.sha256() == want
    for dtype in (np.float32, np.float64, np.int64, bool):
        model, _ = fastmlp.fit(X.astype(dtype), y, **QUICK)
        assert model.parameters.finite


def test_two_fits_in_two_threads_give_what_each_gives_alone():
    X, y = blobs()
    want = [fastmlp.fit(X, y, seed=seed, threads=2, **QUICK)[0].parameters.sha256() for seed in (0, 1)]
    got = {}

    def work(seed: int) -> None:
        got[seed] = fastmlp.fit(X, y, seed=seed, threads=2, **QUICK)[0].parameters.sha256()

    workers = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [got[0], got[1]] == want


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fit_in_a_process_pool_gives_the_same_bytes(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("no such start method here")
    X, y = blobs()
    options = {**QUICK, "seed": 4, "threads": 2}
    want, _ = fastmlp.fit(X, y, **options)  # threads ran in this process before the fork
    with multiprocessing.get_context(method).Pool(1) as pool:
        model, history = pool.apply_async(fastmlp.fit, (X, y), options).get(timeout=60)
    assert model.parameters.sha256() == want.parameters.sha256()
    assert len(history.epochs) == 3


def test_errors_survive_a_process_boundary():
    import pickle

    error = pickle.loads(pickle.dumps(DivergedError("the loss must stay finite", "nan", "use a smaller lr")))
    assert str(error) == "the loss must stay finite; got nan. Use a smaller lr."


def test_bool_labels_are_0_and_1():
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    by_number, by_truth = (
        fastmlp.fit(X, labels, hidden=4, epochs=2, backend="numpy")[0] for labels in (y, y == 1)
    )
    assert by_truth.classes == (0, 1)
    assert by_truth.parameters.sha256() == by_number.parameters.sha256()
    assert by_truth.evaluate(X, y == 1) == by_number.evaluate(X, y)
