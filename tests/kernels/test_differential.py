"""One training, every way to compute it: threads and drivers by bytes, forms and backends by tolerance.

Trainings are drawn by a seed (drawn_trainings.py); all COUNT of them are slow, SAMPLE is not. A failure names
the seed, the form, the way and the arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import drawn_trainings
import numpy as np
import pytest
from compare import check
from drawn_trainings import (
    COUNT,
    IN_TURN,
    MASSES,
    RULES,
    WAYS,
    Combination,
    differing,
    drawn,
    outcome,
    placed,
    wants_pictures,
)
from nets import net_of

import fastmlp
from fastmlp import kernels, reference
from fastmlp.backends.threads import ThreadTuner
from fastmlp.data import load
from fastmlp.errors import DivergedError
from fastmlp.kernels import launch, layout
from fastmlp.net import Preprocessing

TEAMS = [way for way in WAYS if way.startswith("team")]
OTHERS = [way for way in WAYS if way.startswith("prange")]  # slow to launch: one of them for each form
SAMPLE = (*range(88, 96), 104, 107, 109, 110, 178, 183, 5, 50, 140, 365, 405)
FEW = ("team of 2", "team, changing")
REST = [way for way in TEAMS if way not in FEW]
KINDS = {
    "W": "weights", "b": "weights", "m": "averages", "v": "averages", "u": "averages",
    "gradient": "gradient", "loss": "loss", "logits": "outputs",
}  # fmt: skip
BY_STEPS = ("W", "b", "logits")
EXACT = ("counts", "accuracy", "steps")


@pytest.fixture(scope="module")
def pictures(mnist_folder):
    """X (600, 784) and y of the real MNIST."""
    data = load(mnist_folder)
    return np.array(data.X[:600]).reshape(600, -1), np.array(data.y[:600])


def each(seeds: Iterable[int], *marks: pytest.MarkDecorator) -> list[Any]:
    """Seeds to parametrize by: those that draw from MNIST are marked so."""
    return [pytest.param(n, marks=[*marks, *[pytest.mark.mnist] * wants_pictures(n)]) for n in seeds]


@pytest.fixture
def arranged(request, monkeypatch) -> Callable[[int], Combination]:
    """A function: the combination of that seed, with the kernels set as it asks."""

    def arrange(seed: int) -> Combination:
        pictures = request.getfixturevalue("pictures") if wants_pictures(seed) else None
        c = drawn(seed, pictures)
        monkeypatch.setattr(launch, "UNEVEN", c.uneven)
        monkeypatch.setattr(launch, "BRIEF", 0)  # so that slices of a single thread end early too
        return c

    return arrange


def compare_ways(c: Combination, form: str, rows: Any, ways: Iterable[str]) -> dict[str, np.ndarray]:
    """The outcome of one thread, if it is the same bytes in all those ways. rows: as ``c.forms`` has them."""
    X, options = rows
    one = outcome(kernels, c, X, **options)
    for way in ways:
        driver, threads = WAYS[way]
        names = differing(outcome(kernels, c, X, threads(), driver, **options), one)
        assert not names, f"{c}, {form} ({X.form}), {way}: {', '.join(names)} differ from one thread's"
    return one


def compare_close(c: Combination, got: dict[str, np.ndarray], want: dict[str, np.ndarray], name: str) -> None:
    """Every array within its tolerance; what is counted exactly."""
    assert got.keys() == want.keys()
    kinds = {kind: f"drawn {word}" for kind, word in KINDS.items()}
    if c.optimizer.name != "sgd":
        kinds |= {kind: f"{kinds[kind]} of Adam" for kind in BY_STEPS}
    for label, array in want.items():
        kind = label.split()[0].rstrip("1234")
        if kind in EXACT:
            assert np.array_equal(got[label], array), f"{c}, {name}: {label} {got[label]}, expected {array}"
        else:
            check(kinds[kind], got[label], array, f"{label}, {name} {c}")


def compare_all(c: Combination, ways_of: Callable[[int], Iterable[str]]) -> None:
    """Ways by bytes, form after form; then the forms with each other and with the reference."""
    found = {
        form: compare_ways(c, form, rows, ways_of(k)) for k, (form, rows) in enumerate(c.forms().items())
    }
    for dtype in (np.float32, np.float64):
        want = outcome(reference, c, c.X, dtype=dtype, **c.options)
        for form, got in found.items():
            compare_close(c, got, want, f"{form}, reference in {np.dtype(dtype)}")
    first, *rest = found.items()
    for form, got in rest:
        compare_close(c, got, first[1], f"{form} and {first[0]}")
    if c.mean is None and "dense bytes" in found:  # a 0 that is multiplied changes no byte (matmul.py)
        for form in ("as it is", "dense bytes"):
            names = differing(found[form], found["dense"])
            assert not names, f"{c}: {', '.join(names)} differ of {form} and dense"


@pytest.mark.parametrize("seed", each(range(COUNT), pytest.mark.slow))
def test_same_training(arranged, seed):
    """Each form in two ways always, and in two of the others by turns."""
    compare_all(
        arranged(seed), lambda k: [*FEW, REST[(seed + k) % len(REST)], OTHERS[(seed // 4 + k) % len(OTHERS)]]
    )


@pytest.mark.parametrize("seed", each(SAMPLE))
def test_same_training_of_a_sample(arranged, seed):
    compare_all(arranged(seed), lambda k: [*FEW, *["prange of 2"] * ((seed + k) % 4 == 0)])


# --- what is drawn --------------------------------------------------------------------------------


def halves_of(c: Combination) -> Counter[str]:
    """How two members share the deeper layers where they keep to their halves: of how many forms so."""
    found: Counter[str] = Counter()
    for X, options in c.forms().values():
        rows = layout.rows_of(X, Preprocessing(options["scale"], options["mean"]))
        work = layout.build(net_of(c.parameters, c.act), X, c.batch_size, 2)
        halves = launch._halves(X, rows, work.layout)
        if halves is not None and len(c.parameters.weights) > 1:
            found[{0: "second has all", 1: "first has all"}.get(halves[1][1], "both have some")] += 1
        found[X.form] += 1
    return found


@pytest.mark.mnist
def test_the_sample_has_every_optimizer_with_halves_whose_second_member_has_nothing(arranged):
    seen = Counter(c.rule for c in map(arranged, SAMPLE) if halves_of(c)["first has all"])
    assert all(seen[rule] >= 1 for rule in list(RULES)[:IN_TURN]), seen  # the slow tests have all of them


@pytest.mark.slow
@pytest.mark.mnist
def test_everything_is_drawn_often(arranged):
    all_drawn = [arranged(seed) for seed in range(COUNT)]
    halves = [halves_of(c) for c in all_drawn]
    seen = Counter(
        word
        for c in all_drawn
        for word in (
            c.rule, c.mass, c.schedule, c.loss, c.act, f"depth {len(c.parameters.weights) - 1}",
            "weighted" if c.sample_weight is not None else "all the same",
            "centred" if c.mean is not None else "not centred",
            "no batch counts" if c.sample_weight is not None and not c.sample_weight.any() else "",
            f"batch {c.batch_size}", f"{len(c.X)} rows",
        )
    )  # fmt: skip
    assert COUNT >= 300
    for words in (RULES, MASSES, drawn_trainings.LOSSES[:-1], drawn_trainings.SCHEDULES):
        assert min(seen[word] for word in words) >= 30
    assert min(seen[word] for word in drawn_trainings.OF_TARGETS) >= 5
    for word in ("first has all", "second has all", "both have some", "bytes", "csr", "dense"):
        assert sum(word in forms for forms in halves) >= 40, word
    clipped = Counter(c.rule for c, forms in zip(all_drawn, halves, strict=True) if forms["first has all"])
    assert min(clipped[rule] for rule in RULES) >= 5
    assert {seen[f"depth {n}"] for n in range(4)} == {COUNT // 4}
    assert min(seen["weighted"], seen["centred"]) >= 80
    assert min(seen["1 rows"], seen["batch 1"], seen["no batch counts"]) >= 3


def test_draws_are_those_of_their_seed():
    a, b, other = drawn(88), drawn(88), drawn(168)
    assert str(a) == str(b) != str(other)
    assert a.parameters.sha256() == b.parameters.sha256()
    assert np.array_equal(a.X, b.X)


# --- the comparators go red -----------------------------------------------------------------------


@pytest.fixture
def learnt(arranged):
    c = arranged(93)
    X, options = c.forms()["dense"]
    return c, outcome(kernels, c, X, **options)


def flipped(array: np.ndarray) -> np.ndarray:
    """A copy with one bit changed, the lowest of the last number."""
    array = np.array(array)
    array.reshape(-1)[-1:].view(np.uint8)[0] ^= 1
    return array


def test_a_bit_is_seen_in_whatever_array_it_is(learnt):
    _, want = learnt
    assert not differing(dict(want), want)
    for name, array in want.items():
        assert differing({**want, name: flipped(array)}, want) == [name]
        assert differing({**want, name: array.astype(np.float16)}, want) == [name]
        assert differing({**want, name: np.append(array, 0)}, want) == [name]
        assert differing({k: v for k, v in want.items() if k != name}, want) == [name]
    assert differing({**want, "b1": -want["b1"] * 0}, {**want, "b1": want["b1"] * 0}) == ["b1"]


def test_tolerances_are_asked_for_every_array(learnt):
    c, want = learnt
    compare_close(c, want, want, "itself")
    for name, array in want.items():
        with pytest.raises(AssertionError):
            compare_close(c, {**want, name: array * 1.001 + 1}, want, "other")
        with pytest.raises(AssertionError):
            compare_close(c, {k: v for k, v in want.items() if k != name}, want, "less")


def test_a_way_that_is_off_by_one_step_is_named(arranged, monkeypatch):
    """As a member that steps another's row would be: planted in one way alone."""
    c, train = arranged(94), kernels.train_epoch

    def planted(net, *args, threads, **options):
        totals = train(net, *args, threads=threads, **options)
        if threads == 3:
            net.parameters.biases[-1][...] = flipped(net.parameters.biases[-1])
        return totals

    monkeypatch.setattr(kernels, "train_epoch", planted)
    rows = c.forms()["dense"]
    compare_ways(c, "dense", rows, ["team of 2", "team of 5"])
    with pytest.raises(AssertionError, match=r"94: .*dense.*team of 3: .*b2.* differ"):
        compare_ways(c, "dense", rows, TEAMS)


# --- shares of any size ---------------------------------------------------------------------------


def some_split(rng: np.random.Generator, D: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Job.splits and Job.shares of any sizes, most of them with empty ones, wherever they lie."""
    splits = np.sort(rng.choice([0, 1, D // 2, D - 1, D, D + 1], threads - 1))
    return np.array([0, *splits, D + 1], np.int64), some_shares(rng, threads)


def some_shares(rng: np.random.Generator, threads: int) -> np.ndarray:
    return np.array([0.0, *np.sort(rng.choice([0.0, 0.001, 0.5, 0.999, 1.0], threads - 1)), 1.0])


@pytest.mark.parametrize("seed", [*each((94, 96, 183)), *each(range(3, COUNT, 9), pytest.mark.slow)])
def test_a_share_may_be_empty_wherever_it_lies(arranged, monkeypatch, seed):
    c, rng, halves = arranged(seed), np.random.default_rng(seed), launch._halves

    def some_halves(*of: Any) -> tuple[np.ndarray, np.ndarray] | None:
        found = halves(*of) if rng.random() < 0.5 else None
        return found and (found[0], some_shares(rng, 2))

    monkeypatch.setattr(launch, "_halves", some_halves)
    monkeypatch.setattr(launch, "_split", lambda X, rows, threads: some_split(rng, X.shape[1], threads))
    for k, (form, rows) in enumerate(c.forms().items()):
        compare_ways(c, form, rows, ["team of 2", "team of 3", "team, changing", *OTHERS[k : k + 1]])


def test_splits_give_every_row_to_one_member():
    rng = np.random.default_rng(0)
    for _ in range(300):
        mass, N, D = str(rng.choice(MASSES)), int(rng.integers(1, 30)), int(rng.integers(1, 800))
        X, threads = kernels.encode(placed(rng, mass, N, D)), int(rng.integers(1, 20))
        splits, shares = launch._split(X, layout.rows_of(X, Preprocessing()), threads)
        assert (splits[0], splits[-1], len(splits)) == (0, D + 1, threads + 1)
        assert (shares[0], shares[-1], len(shares)) == (0, 1, threads + 1)
        assert (np.diff(splits) >= 0).all()
        assert (np.diff(shares) > 0).all()


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [*each((4, 92, 173)), *each((60, 193, 215, 252), pytest.mark.slow)])
def test_divergence_is_named_alike(arranged, seed):
    """In the same batch, for the same reason, however the weights and samples were shared."""
    c, seen = arranged(seed), set()
    steep = {"clip": "logits", "binary": "half_squared", "huber": "half_squared"}  # no step is 0, or short
    c = replace(c, lr=c.lr * 1e9, loss=steep.get(c.loss.partition(":")[0], c.loss))
    for form, (X, options) in c.forms().items():
        for driver, threads in [("team", lambda: 1), *(WAYS[way] for way in (*FEW, "prange of 2"))]:
            with pytest.raises(DivergedError) as caught:
                outcome(kernels, c, X, threads(), driver, **options)
            seen.add((form, caught.value.batch, str(caught.value)))
    assert len(seen) == len(c.forms()), seen


# --- words of others ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven():
    """X (240, 784) whose second half is a little denser, and y: of two members, one has no deeper row."""
    rng = np.random.default_rng(4)
    X = placed(rng, "less first", 240, 784)
    y = np.arange(240) % 3
    X[np.arange(240), 400 + 7 * y] = 255
    return X, y


@pytest.mark.parametrize("words", [{"optimizer": "adam"}, {"momentum": 0.9}, {"weight_decay": 0.01}], ids=str)
def test_fit_gives_the_same_bytes(uneven, words):
    seen = set()
    for threads in (1, 2, 2, 3, "auto"):
        model, history = fastmlp.fit(
            *uneven, hidden=9, lr=0.003, epochs=6, batch_size=32, validation=0.2, patience=2,
            schedule="cosine", class_weight="balanced", threads=threads, test_data=uneven, **words,
        )  # fmt: skip
        curves = [
            (e.train_loss, e.test_loss, e.validation_loss, e.validation_accuracy) for e in history.epochs
        ]
        seen.add((model.parameters.sha256(), history.best_epoch, *curves))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "words",
    [{}, {"solver": "sgd", "momentum": 0.9}, {"early_stopping": True}],
    ids=["adam", "momentum", "early"],
)
def test_estimators_give_the_same_bytes(uneven, words):
    from fastmlp.estimators import MLPClassifier

    X, y, seen = uneven[0] / np.float32(255), uneven[1], set()
    for threads in (1, 2, 2, 3):
        net = MLPClassifier((9,), max_iter=5, n_iter_no_change=99, random_state=0, threads=threads, **words)
        with pytest.warns(Warning, match="converged yet"):
            net.fit(X, y)
        seen.add((*(array.tobytes() for array in (*net.coefs_, *net.intercepts_)), *net.loss_curve_))
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_keras_words_give_the_same_bytes(uneven, monkeypatch, name):
    from fastmlp.keras import layers, models, optimizers, sequential, utils

    X, y, seen = uneven[0] / np.float32(255), uneven[1], set()
    for threads in (1, 2, 2, 3):
        monkeypatch.setattr(sequential, "ThreadTuner", lambda threads=threads: ThreadTuner(threads))
        utils.set_random_seed(1)
        net = models.Sequential(
            [layers.Input((784,)), layers.Dense(9, activation="relu"), layers.Dense(3, activation="softmax")]
        )
        steps = optimizers.Adam() if name == "adam" else optimizers.SGD(0.01, momentum=0.9, nesterov=True)
        net.compile(steps, "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = net.fit(X, y, epochs=3, validation_split=0.2, verbose=0).history
        seen.add((*(array.tobytes() for array in net.get_weights()), str(history)))
    assert len(seen) == 1


@pytest.mark.parametrize("words", [{"optimizer": "adam"}, {"momentum": 0.9, "nesterov": True}], ids=str)
def test_torch_modules_get_the_same_bytes(uneven, words):
    torch = pytest.importorskip("torch")
    from fastmlp.torch import fit

    X, y, seen = uneven[0] / np.float32(255), uneven[1], set()
    for threads in (1, 2, 2, 3):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(784, 9), torch.nn.ReLU(), torch.nn.Linear(9, 3))
        fit(module, X, y, lr=0.01, epochs=3, batch_size=32, threads=threads, **words)
        seen.add(tuple(tensor.detach().numpy().tobytes() for tensor in module.parameters()))
    assert len(seen) == 1
