"""The heads and the links of the kernels: against the reference, by their bytes, and far off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare import check, check_named, digest
from floats import f
from nets import values, weights

from fastmlp import Architecture, DivergedError, Net, Parameters, Preprocessing, kernels, reference
from fastmlp.backends.threads import ThreadTuner
from fastmlp.words.layers import layers_of
from fastmlp.words.losses import Loss

WORDS = (
    ("logits", 0.0), ("logits", 0.1), ("keras2", 0.0), ("clip:0.05,0.6", 0.0), ("clip:0.05,0.6", 0.2),
    ("binary", 0.0), ("binary", 0.1), ("binary:0.2,0.7", 0.0), ("binary:0.2,0.7", 0.2), ("squared", 0.0),
    ("half_squared", 0.0), ("absolute", 0.0), ("huber", 0.0), ("huber:0.2", 0.0), ("poisson", 0.0),
    ("log_loss", 0.0), ("log_loss", 0.1), ("binary_log_loss", 0.1), ("half_deviance", 0.0),
)  # fmt: skip
NETS = 12  # of each of these: 228 in all


def drawn(seed, text):
    """A net, X, y that suit the loss, and weights of the rows or None."""
    rng, loss = np.random.default_rng(seed), Loss.of(text)
    D, B = int(rng.integers(1, 90)), int(rng.choice([1, 5, 63, 64, 65, 130]))
    K = int(rng.choice([1, 2, 3, 7, 8, 9, 20]))
    K = max(K, loss.word.outputs)
    hidden = [int(width) for width in rng.integers(1, 40, rng.integers(0, 3))]
    X = values(rng, str(rng.choice(["uint8 sparse", "float32 sparse", "float32 dense"])), B, D)
    architecture = Architecture(D, layers_of(hidden, "tanh"), K)
    net = Net(architecture, weights(rng, architecture), Preprocessing(255.0 if X.dtype == np.uint8 else 1.0))
    if loss.task == "classes":
        y = rng.integers(0, K, B) if seed % 3 else rng.random((B, K))
    else:
        y = rng.random((B, K)) * (1 if loss.task == "binary" else 3)
        y = np.round(y) if seed % 3 and loss.task == "binary" else y
        y = y[:, 0] if K == 1 and seed % 2 else y
    return net, X, y, rng.random(B) * (rng.random(B) < 0.8) if seed % 2 else None


def on_an_edge(net, X, y, loss):
    """Whether a probability is near a bound of the clip, or an output near a kink of the loss."""
    z = reference.logits(Net(net.architecture, net.parameters.astype(np.float64), net.preprocessing), X)
    if loss.task == "numbers":
        sizes = np.abs(z - np.reshape(y, z.shape))
        return loss.name == "absolute" and sizes.min() < 1e-5
    p = np.empty_like(z)
    reference.LINKS[loss.word.link](p, z)
    near = [np.abs(p - bound).min() < 1e-5 for bound in loss.clip or ()]
    return any(near) or (loss.task == "binary" and np.abs(z).min() < 1e-5)


@pytest.mark.parametrize(("text", "s"), WORDS)
def test_kernels_equal_the_reference(text, s):
    compared, loss = 0, Loss.of(text, s)
    for seed in range(NETS):
        net, X, y, sample_weight = drawn(seed, text)
        if on_an_edge(net, X, y, loss):
            continue
        compared += 1
        options, name = {"loss": text, "label_smoothing": s}, f"{text} {s} {seed}"
        ours, theirs = (
            nn.loss_and_gradients(net, X, y, sample_weight=sample_weight, **options)
            for nn in (kernels, reference)
        )
        check("loss", ours.loss, theirs.loss, name)
        check_named("cancelling gradient", ours.gradients, theirs.gradients, name)
        assert (ours.correct, ours.live) == (theirs.correct, theirs.live), name
        ours, theirs = (nn.evaluate(net, X, y, **options) for nn in (kernels, reference))
        check("loss", ours.loss, theirs.loss, name)
        assert ours.accuracy == theirs.accuracy
        assert (ours.r2 is None) == (theirs.r2 is None) == (loss.task != "numbers" or len(X) == 1)
        if loss.task == "numbers":
            check("outputs", ours.mean_absolute_error, theirs.mean_absolute_error, name)
            if len(X) > 1:
                assert ours.r2 == pytest.approx(theirs.r2, rel=1e-4, abs=1e-5)
        predicted = "predict" if loss.task == "numbers" else "predict_proba"
        ours, theirs = (getattr(nn, predicted)(net, X, loss=text) for nn in (kernels, reference))
        check("probabilities", ours, theirs, name)
    assert compared > NETS // 2


@pytest.mark.parametrize(("text", "s"), WORDS)
def test_bytes_do_not_depend_on_threads_drivers_or_rows_beside(text, s):
    loss, seen = Loss.of(text, s), set()
    rng = np.random.default_rng(3)
    for K in sorted({loss.word.outputs, 11}):
        architecture = Architecture(600, layers_of((9,), "relu"), K)
        X, start = values(rng, "uint8 sparse", 150, 600), weights(rng, architecture)
        y = rng.random((150, K)) if loss.task != "classes" or K > 2 else rng.integers(0, K, 150)
        seen.clear()
        for threads, driver in ((1, "team"), (2, "team"), (3, "team"), (2, "prange")):
            net = Net(architecture, start.copy(), Preprocessing(255.0))
            options = {"loss": text, "label_smoothing": s, "threads": ThreadTuner(threads, driver)}
            totals = kernels.train_epoch(
                net, X, y, np.arange(150), lr=0.02, batch_size=37, sample_weight=y.reshape(150, -1)[:, 0] + 1,
                **options,
            )  # fmt: skip
            predict = kernels.predict if loss.task == "numbers" else kernels.predict_proba
            whole = predict(net, X, loss=text, threads=threads)
            few = np.concatenate([predict(net, X[i : i + 2], loss=text) for i in (0, 2, 4)])
            assert few.tobytes() == whole[:6].tobytes()
            tested = kernels.evaluate(net, X, y, **options)
            figures = [
                totals.loss,
                totals.correct,
                totals.live,
                *(np.nan if t is None else t for t in tested),
            ]
            seen.add(digest(*net.parameters, figures, whole))
        assert len(seen) == 1


@pytest.mark.parametrize(("text", "s"), [word for word in WORDS if not word[0].startswith("binary:")])
def test_what_is_not_finite_is_seen_in_its_batch(text, s):
    loss = Loss.of(text, s)
    K = loss.word.outputs
    X, y = np.ones((40, 1), f), np.zeros(40, int) if loss.task == "classes" else np.ones((40, K))
    X[25] = 3e38
    start = Parameters((np.full((1, K), 3, f),), (np.zeros(K, f),))
    start.weights[0][:, -1] = -3
    for nn, threads in ((reference, 1), (kernels, 1), (kernels, 3)):
        p = start.copy()
        with pytest.raises(DivergedError, match="the loss must stay finite; got nan or infinity in batch 3"):
            nn.train_epoch(
                Net(Architecture(1, (), K), p), X, y, np.arange(40), loss=text, label_smoothing=s, lr=1e-6,
                batch_size=10, threads=threads,
            )  # fmt: skip
        assert p.sha256() == start.sha256()


@pytest.mark.parametrize("size", [1e4, 1e38])
@pytest.mark.parametrize("text", ["logits", "keras2", "binary", "binary:1e-7,0.9999999", "absolute", "huber"])
def test_extreme_outputs_have_the_losses_of_the_reference(text, size):
    net = Net(Architecture(1, (), 2), Parameters((np.array([[1, -1]], f),), (np.zeros(2, f),)))
    X = np.array([[size], [-size], [0]], f)
    targets = [np.array([[0, 1], [1, 0], [1, 1]]), np.array([[0.5, 0.5], [0.2, 0.6], [1, 0]])]
    for y in [*targets, *([np.array([1, 1, 0])] if Loss.of(text).task == "classes" else [])]:
        ours, theirs = (nn.loss_and_gradients(net, X / f(size), y, loss=text) for nn in (kernels, reference))
        check("loss", ours.loss, theirs.loss, text)
        ours, theirs = (nn.evaluate(net, X, y, loss=text) for nn in (kernels, reference))
        check("loss", ours.loss, theirs.loss, text)
        assert math.isfinite(ours.loss)


def test_a_clipped_label_of_an_infinite_output_has_a_finite_loss():
    """Its probability is 1, or 0."""
    net = Net(Architecture(1, (), 1), Parameters((np.full((1, 1), 3, f),), (np.zeros(1, f),)))
    for nn in (kernels, reference):
        found = nn.loss_and_gradients(net, np.full((1, 1), 3e38, f), [0.0], loss="binary:0.2,0.7")
        assert (found.loss, found.live) == (pytest.approx(-math.log(0.3)), 0)
        assert not found.gradients.biases[0].any()


def test_of_equal_shares_the_first_is_the_class():
    net = Net(Architecture(1, (), 3), Parameters((np.array([[1, 0, 2]], f),), (np.zeros(3, f),)))
    X, y = np.array([[1], [1], [-1]], f), np.array([[0.4, 0.2, 0.4], [0.2, 0.4, 0.4], [0.2, 0.4, 0.4]])
    for nn in (kernels, reference):
        assert nn.loss_and_gradients(net, X, y).correct == 1  # the last row's, whose logits fall


def test_a_clip_cuts_labels_one_by_one():
    """p is 0.5 and 0.88: of two labels one is live, and its gradient is that without a clip."""
    net = Net(Architecture(1, (), 2), Parameters((np.array([[0, 2]], f),), (np.zeros(2, f),)))
    X, y = np.ones((3, 1), f), np.array([[0, 1]] * 3)
    cut, whole = (kernels.loss_and_gradients(net, X, y, loss=loss) for loss in ("binary:0.6,0.9", "binary"))
    assert (cut.live, whole.live, cut.correct) == (3, 6, 6)
    assert cut.gradients.biases[0][0] == 0 != whole.gradients.biases[0][0]
    assert cut.gradients.biases[0][1] == whole.gradients.biases[0][1]
    totals = kernels.train_epoch(net, X, y, np.arange(3), loss="binary:0.6,0.9")
    assert (totals.live_share, totals.accuracy) == (0.5, 1)
