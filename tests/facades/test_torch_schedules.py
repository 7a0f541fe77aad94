"""The rates of torch.optim.lr_scheduler, to 1e-12, where PyTorch is installed (the extra ``parity``)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp import Training
from fastmlp.train.plateau import rates_of

torch = pytest.importorskip("torch")

OF = torch.optim.lr_scheduler
EPOCHS, BATCHES, LR = 12, 7, 0.3


def after(count, make, start=None):
    """A linear rise over ``count``, and then another schedule."""

    def both(stepper, total):
        rise = OF.LinearLR(stepper, 1 / (count + 1) if start is None else start, 1.0, count)
        return OF.SequentialLR(stepper, [rise, make(stepper, total - count)], [count])

    return both


CASES = {
    "constant": lambda stepper, total: OF.ConstantLR(stepper, 1.0),
    "step:3,0.5": lambda stepper, total: OF.StepLR(stepper, 3, 0.5),
    "exponential:0.9": lambda stepper, total: OF.ExponentialLR(stepper, 0.9),
    "cosine": OF.CosineAnnealingLR,
    "cosine:0.1": lambda stepper, total: OF.CosineAnnealingLR(stepper, total, 0.1 * LR),
    "warmup:4": lambda stepper, total: OF.LinearLR(stepper, 1 / 5, 1.0, 4),
    "warmup:5,0.25": lambda stepper, total: OF.LinearLR(stepper, 0.25, 1.0, 5),
    "warmup:3+cosine": after(3, OF.CosineAnnealingLR),
    "warmup:2,0.01+exponential:0.8": after(2, lambda stepper, _: OF.ExponentialLR(stepper, 0.8), 0.01),
    "warmup:4+step:3,0.5": after(4, lambda stepper, _: OF.StepLR(stepper, 3, 0.5)),
}
ONECYCLE = {"onecycle": lambda stepper, total: OF.OneCycleLR(stepper, LR, total, cycle_momentum=False)}


def theirs(make, count, total):
    """The rates of ``count`` steps of their scheduler, which is made for ``total``."""
    stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler, rates = make(stepper, total), []
    for _ in range(count):
        rates.append(stepper.param_groups[0]["lr"])
        stepper.step()
        scheduler.step()
    return rates


@pytest.mark.filterwarnings("ignore:.*epoch parameter in:UserWarning")
@pytest.mark.parametrize("schedule", CASES)
def test_rates_by_epoch_are_torchs(schedule):
    training = Training(lr=LR, epochs=EPOCHS, schedule=schedule)
    ours = [training.rates(epoch, BATCHES) for epoch in range(1, EPOCHS + 1)]
    np.testing.assert_allclose(ours, theirs(CASES[schedule], EPOCHS, EPOCHS), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*epoch parameter in:UserWarning")
@pytest.mark.parametrize("schedule", [*CASES, "onecycle"])
@pytest.mark.parametrize(("epochs", "batches"), [(EPOCHS, BATCHES), (1, 40), (11, 1)])
def test_rates_by_step_are_torchs(schedule, epochs, batches):
    training = Training(lr=LR, epochs=epochs, schedule=f"{schedule}/step")
    ours = np.ravel([training.rates(epoch, batches) for epoch in range(1, epochs + 1)])
    total = epochs * batches
    np.testing.assert_allclose(ours, theirs((CASES | ONECYCLE)[schedule], total, total), rtol=1e-12)


@pytest.mark.parametrize("numbers", [(), (0.5, 2), (0.3, 0)])
@pytest.mark.parametrize("seed", range(3))
def test_rates_on_plateau_are_torchs(numbers, seed):
    """On losses that fall, stand still and rise, and are lower by less than counts."""
    rng = np.random.default_rng(seed)
    losses = np.exp(-np.minimum(np.arange(120), 60) / 40) + rng.choice(
        [0, 1e-5, 0.05, 0.3], 120
    ) * rng.random(120)
    stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = OF.ReduceLROnPlateau(stepper, "min", *numbers)
    finished = []
    schedule = "plateau" + (f":{numbers[0]},{numbers[1]}" if numbers else "")
    ours = rates_of(Training(lr=LR, schedule=schedule, validation=0.1, epochs=200), 5, finished)
    seen = set()
    for epoch, loss in enumerate(losses.tolist(), 1):
        rate = stepper.param_groups[0]["lr"]
        assert ours(epoch) == pytest.approx(rate, rel=1e-12)
        seen.add(rate)
        scheduler.step(loss)
        finished.append(SimpleNamespace(validation_loss=loss))
    assert len(seen) > 1
