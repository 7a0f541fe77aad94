"""Schedules of the learning rate: their text, their rates by epoch and step, plateaus that survive a kill.

What PyTorch makes of the same: tests/facades/test_torch_schedules.py.
"""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoints import QUICK, Broken, X, Y, same
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp import ConfigError, OptimizerState, Training, random
from fastmlp.model import load_backend
from fastmlp.train.plateau import Plateau, rates_of
from fastmlp.words.schedules import SCHEDULES, Schedule

# Of torch.optim.lr_scheduler 2.13.0, lr 0.3, ten epochs or steps: StepLR(3, 0.5), ExponentialLR(0.9),
# CosineAnnealingLR(10), LinearLR(1 / 4, 1, 3) and then CosineAnnealingLR(7), OneCycleLR(0.3, 10).
TORCHS = {
    "step:3,0.5": [0.3, 0.3, 0.3, 0.15, 0.15, 0.15, 0.075, 0.075, 0.075, 0.0375],
    "exponential:0.9": [
        0.3,
        0.27,
        0.24300000000000002,
        0.21870000000000003,
        0.19683000000000003,
        0.17714700000000003,
        0.15943230000000003,
        0.14348907000000002,
        0.12914016300000003,
        0.11622614670000003,
    ],
    "cosine": [
        0.3,
        0.29265847744427304,
        0.2713525491562421,
        0.23816778784387094,
        0.1963525491562421,
        0.15,
        0.1036474508437579,
        0.06183221215612905,
        0.028647450843757902,
        0.007341522555726971,
    ],
    "warmup:3+cosine": [
        0.075,
        0.15,
        0.22499999999999998,
        0.3,
        0.28514533018536287,
        0.24352347027881002,
        0.18337814009344716,
        0.11662185990655285,
        0.05647652972118998,
        0.014854669814637145,
    ],
    "onecycle/step": [
        0.01200000000000001,
        0.156,
        0.3,
        0.2851453896040421,
        0.24352369618492894,
        0.18337860658088678,
        0.11662259341911323,
        0.05647750381507109,
        0.014855810395957887,
        1.2e-06,
    ],
}


def rates(schedule, epochs=10, batches=1, lr=0.3):
    training = Training(lr=lr, epochs=epochs, schedule=schedule, validation=0.1)
    return np.ravel([training.rates(epoch, batches) for epoch in range(1, epochs + 1)])


# --- rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", TORCHS)
def test_rates_are_torchs(schedule):
    by_epoch = schedule.removesuffix("/step")
    np.testing.assert_allclose(rates(f"{by_epoch}/step", 2, 5), TORCHS[schedule], rtol=1e-12)
    if schedule == by_epoch:
        np.testing.assert_allclose(rates(schedule), TORCHS[schedule], rtol=1e-12)


def test_rates_by_epoch_are_one_and_by_step_one_for_each_batch():
    for schedule in ("step:3,0.5", "cosine", "exponential:0.9", "warmup:2+cosine"):
        assert type(Training(schedule=schedule).rates(2, 9)) is float
        assert len(Training(schedule=f"{schedule}/step").rates(2, 9)) == 9
    assert len(Training(schedule="onecycle").rates(1, 9)) == 9
    by_step = Training(schedule="cosine/step", epochs=4)
    assert Training(schedule="cosine", epochs=4).lr_at(3) == by_step.lr_at(3, 0, 5)


def test_a_rate_never_ends_at_zero():
    assert rates("step:1,1e-30", 50).min() == rates("exponential:1e-20", 50).min() == 1e-30


def test_a_warmup_rises_by_equal_steps_to_the_whole_rate():
    found = rates("warmup:4", 8, lr=1.0)
    np.testing.assert_allclose(found, [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(
        rates("warmup:2,0.5+step:3,0.1", 8, lr=1.0), [0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.1]
    )
    np.testing.assert_allclose(rates("warmup:20", 5, lr=1.0), np.arange(1, 6) / 21)


def test_onecycle_rises_and_falls_within_a_training():
    found = rates("onecycle", 4, 25, lr=1.0)
    assert found.argmax() == 29
    assert (found[0], found[29]) == pytest.approx((1 / 25, 1))
    assert found[-1] == pytest.approx(1 / 250_000)
    assert (np.diff(found[:30]) > 0).all()
    assert (np.diff(found[29:]) < 0).all()
    assert np.isfinite(rates("onecycle", 1, 1)).all()


# --- their text ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("constant", "constant"),
        (" step : 5 , 1e-1 ", "step:5,0.1"),
        ("exponential:0.5/step", "exponential:0.5/step"),
        ("cosine:0", "cosine"),
        ("cosine:0.1/step", "cosine:0.1/step"),
        ("warmup:2", "warmup:2"),
        ("warmup:2+constant", "warmup:2"),
        (f"warmup:2,{1 / 3!r}+cosine", "warmup:2+cosine"),
        ("warmup:100,0.1+step:7,0.5/step", "warmup:100,0.1+step:7,0.5/step"),
        ("onecycle/step", "onecycle"),
        ("plateau:0.1,10", "plateau"),
        ("plateau:0.5,3", "plateau:0.5,3"),
        ("warmup:3+plateau", "warmup:3+plateau"),
    ],
)
def test_a_schedule_has_one_shortest_text(text, short):
    assert str(Schedule.of(text)) == short == str(Schedule.of(short))
    assert Schedule.of(short) == Schedule.of(text)
    assert Training(schedule=text, validation=0.1).schedule == short


BAD = {
    "step": "step step: step:0,0.5 step:1.5,0.5 step:3 step:3,0 step:3,1.1 step:3,0.5,1",
    "exponential": "exponential exponential:0 exponential:2 exponential:nan exponential:x",
    "cosine": "cosine:2 cosine:-0.1 cosine:0,1",
    "onecycle": "onecycle:3 warmup:2+onecycle",
    "plateau": "plateau:1,3 plateau:0.5,-1 plateau:0.5,1.5 plateau:0.5 plateau/step",
    "warmup": "warmup:0 warmup: warmup:2,0+cosine warmup:2,2 warmup:1.5 warmup:2,0.1,3+cosine +cosine "
    "cosine+step:3,0.5",
    "one of": "linear cosine/epoch cosine+warmup:2 warmup:2+ warmup warmup:2+warmup:3 warmup:2+cosine+cosine "
    "/step cosine//step",
}
CASES = [(what, text) for what, texts in BAD.items() for text in texts.split()]
CASES += [("one of", ""), ("one of", None), ("one of", 3), ("step", "step:3,0.5 steps")]


@pytest.mark.parametrize(("what", "schedule"), CASES)
def test_what_is_no_schedule_is_refused(what, schedule):
    with pytest.raises(ConfigError, match="schedule") as caught:
        Training(schedule=schedule, validation=0.1)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


some_text = st.text("warmup:+/step,cosine0123.", max_size=20)
some_numbers = st.text(":0123.,e-", max_size=8)
near = st.tuples(st.sampled_from(["", "warmup:2+"]), st.sampled_from(list(SCHEDULES)), some_numbers)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(some_text | near.map("".join))
def test_a_text_is_a_schedule_or_refused(text):
    try:
        schedule = Schedule.of(text)
    except ConfigError:
        return
    assert Schedule.of(str(schedule)) == schedule
    found = rates(str(schedule), 6, 3)
    assert ((found > 0) & (found <= 0.3 * (1 + 1e-12))).all()


def test_a_training_says_its_schedule():
    assert "lr 0.01, warmup:2+cosine schedule" in Training(schedule="warmup:2+cosine").in_words()


# --- on plateau ---------------------------------------------------------------------------------


def test_a_plateau_lowers_the_rate_after_its_patience():
    plateau, found = Plateau(1.0, 0.5, 1), []
    for loss in (3, 2, 2, 2, 1.9999, 1, 1, 1, 1, 1):
        plateau.note(loss)
        found.append(plateau.lr)
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    tiny = Plateau(1.5e-8, 0.5, 0)
    tiny.note(math.nan)
    assert tiny.lr == 1.5e-8


def test_rates_on_plateau_are_those_of_the_epochs_so_far():
    training = Training(lr=1, schedule="warmup:1+plateau:0.5,0", validation=0.1)
    losses = [4, 3, 3, 2, 2, 2]
    finished = [SimpleNamespace(validation_loss=loss) for loss in losses]
    assert [rates_of(training, 3, finished[:n])(n + 1) for n in range(7)] == [
        0.5,
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.125,
    ]


def test_a_plateau_needs_rows_held_out():
    with pytest.raises(ConfigError, match=r"^schedule plateau:0.5,1 must come with rows held out"):
        Training(schedule="plateau:0.5,1")


def test_a_training_on_plateau_lowers_its_rate_and_resumes_to_the_byte(tmp_path):
    options = QUICK | {
        "epochs": 12,
        "lr": 3,
        "validation": 0.3,
        "backend": "numpy",
        "schedule": "plateau:0.3,0",
    }
    whole = fastmlp.fit(X, Y, **options)
    losses = [epoch.validation_loss for epoch in whole[1].epochs]
    assert any(b >= a for a, b in itertools.pairwise(losses[:6]))
    assert not same(whole, fastmlp.fit(X, Y, **options | {"schedule": "constant"}))
    for stop in (3, 7, 11):
        folder = tmp_path / str(stop)

        def broken(result, model, stop=stop):
            if result.epoch == stop:
                raise Broken

        with pytest.raises(Broken):
            fastmlp.fit(X, Y, **options, checkpoint=folder, callbacks=[broken])
        assert same(whole, fastmlp.fit(X, Y, **options, checkpoint=folder))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("schedule", ["onecycle", "warmup:20+step:15,0.5/step", "cosine/step"])
def test_each_batch_has_its_own_rate_by_step(backend, schedule):
    """An epoch whose batches are trained one by one, each at its rate, has the same bytes."""
    training = Training.of(hidden=8, epochs=2, batch_size=16, lr=0.5, schedule=schedule, momentum=0.9)
    whole, _ = fastmlp.fit(X, Y, training, backend=backend)
    nn, net, batches = load_backend(backend), training.architecture(40, 3), 15
    p = fastmlp.initialise(net)
    state = OptimizerState.start(p, training.optimizer)
    same_net = fastmlp.Net(net, p, whole.preprocessing)
    for step in range(2 * batches):
        epoch, batch = 1 + step // batches, step % batches
        rows = random.permutation(240, 0, "order", epoch)[16 * batch : 16 * batch + 16]
        nn.train_epoch(
            same_net, X, Y, rows, lr=training.lr_at(epoch, batch, batches), optimizer=training.optimizer,
            state=state,
        )  # fmt: skip
    assert p.sha256() == whole.parameters.sha256()
    other, _ = fastmlp.fit(X, Y, training.but(schedule="constant"), backend=backend)
    assert other.parameters.sha256() != p.sha256()


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "warmup:1+cosine/step"])
def test_more_epochs_are_refused_where_all_rates_hang_on_them(tmp_path, schedule):
    from fastmlp.train.checkpoint import Identity

    begun = Identity(Training(schedule=schedule, epochs=4), "numpy", {})
    (told,) = begun.goes_on_as(Training(schedule=schedule, epochs=5), "numpy").differences(begun)
    assert (
        told == f"epochs 5 instead of 4, which decide all rates of the {Schedule.of(schedule).name} schedule"
    )
    free = Identity(Training(schedule="warmup:1+step:2,0.5/step", epochs=4), "numpy", {})
    assert not free.goes_on_as(Training(schedule="warmup:1+step:2,0.5/step", epochs=5), "numpy").differences(
        free
    )
