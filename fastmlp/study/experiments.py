"""Nets that the study trains: the thread's settings, many seeds of raw ReLU, a grid of scale x lr.

The claims are quoted from the question (Data Science Stack Exchange 18667); nothing is measured here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastmlp.checks import whole_number
from fastmlp.spec import Training

LOSSES = ("logits", "keras2", "clip:1e-10,0.999999")
RAW, SCALED = 1.0, 255.0
WIDE = (300,)  # hidden units of the third answer
LR = 0.01  # Keras' default, which the question's script uses
ACTS = {"relu": "ReLU", "sigmoid": "sigmoid"}  # of the phase diagram, with their names for people
LEAST_SEEDS = 2  # for a spread


@dataclass(frozen=True)
class Cell:
    """One setting of the thread under one loss, trained with several seeds.

    code:     name of the setting, without the loss.
    label:    name for people.
    training: of seed 0.
    """

    code: str
    label: str
    training: Training

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return self.training.loss

    def trainings(self, seeds: int, epochs: int) -> list[Training]:
        """One training a seed."""
        return [replace(self.training, seed=seed, epochs=epochs) for seed in range(seeds)]


SETTINGS: dict[str, tuple[str, Training]] = {
    "sigmoid-raw": ("sigmoid, raw pixels", Training(act="sigmoid", scale=RAW, lr=LR)),
    "relu-raw": ("ReLU, raw pixels", Training(scale=RAW, lr=LR)),
    "relu-255": ("ReLU, pixels / 255", Training(scale=SCALED, lr=LR)),
    **{
        f"relu300-{name}-lr{lr:g}": (
            f"300 ReLU, {words}, lr {lr:g}",
            Training(hidden=WIDE, scale=scale, lr=lr),
        )
        for name, words, scale in (("raw", "raw pixels", RAW), ("255", "pixels / 255", SCALED))
        for lr in (0.01, 0.1)
    },
}
CELLS = tuple(
    Cell(code, label, replace(training, loss=loss))
    for code, (label, training) in SETTINGS.items()
    for loss in LOSSES
)


@dataclass(frozen=True)
class Plan:
    """Sizes of the experiments.

    seeds:       of raw ReLU under logits, and half as many under keras2: the distributions.
    cell_seeds:  of each cell of 100 units; wide_seeds: of each of 300.
    epochs:      of all these nets.
    scales, rates, phase_epochs: columns and rows of the phase diagram, and the epochs of its nets.
    images:      training images for the curvature; pictures: test images for activations at the start.
    law_steps:   of the scale law.
    """

    seeds: int = 200
    cell_seeds: int = 20
    wide_seeds: int = 20
    epochs: int = 15
    scales: tuple[float, ...] = tuple(2.0**i for i in range(11))
    rates: tuple[float, ...] = tuple(2.0**i for i in range(-17, 5))
    phase_epochs: int = 1
    images: int = 500
    pictures: int = 10_000
    law_steps: int = 600

    def __post_init__(self) -> None:
        for name, least in (("seeds", LEAST_SEEDS), ("cell_seeds", LEAST_SEEDS), ("wide_seeds", 1)):
            whole_number(name, getattr(self, name), least, 100_000)

    def of_cell(self, cell: Cell) -> list[Training]:
        """One training a seed."""
        wide = cell.training.hidden == WIDE
        return cell.trainings(self.wide_seeds if wide else self.cell_seeds, self.epochs)

    def of_distribution(self, loss: str) -> list[Training]:
        """Raw ReLU under that loss, one training a seed."""
        cell = next(cell for cell in CELLS if (cell.code, cell.loss) == ("relu-raw", loss))
        return cell.trainings(self.of_loss(loss), self.epochs)

    def of_loss(self, loss: str) -> int:
        """Seeds of that distribution: half under keras2, to spend less."""
        return self.seeds if loss == LOSSES[0] else max(LEAST_SEEDS, self.seeds // 2)

    def of_phase(self, act: str) -> list[list[Training]]:
        """A row for each rate, a column for each scale."""
        return [
            [Training(act=act, scale=scale, lr=lr, epochs=self.phase_epochs) for scale in self.scales]
            for lr in self.rates
        ]

    def trainings(self) -> list[Training]:
        """All trainings, each once, the slow ones first, so that the cores end together."""
        found = dict.fromkeys(training for cell in CELLS for training in self.of_cell(cell))
        for loss in LOSSES[:2]:
            found |= dict.fromkeys(self.of_distribution(loss))
        for act in ACTS:
            found |= dict.fromkeys(training for row in self.of_phase(act) for training in row)
        return sorted(found, key=cost, reverse=True)


def quick(seeds: int) -> Plan:
    """A small plan: fewer seeds, a coarser grid."""
    return Plan(
        seeds=min(seeds, 10),
        cell_seeds=2,
        wide_seeds=1,
        scales=tuple(4.0**i for i in range(6)),
        rates=tuple(2.0**i for i in range(-17, 5, 2)),
        images=300,
        law_steps=200,
    )


def cost(training: Training) -> float:
    """Relative time of a training: units x epochs, and the cost of an epoch that does not depend on them."""
    return training.epochs * (40 + sum(training.hidden)) * (1.2 if training.act == "sigmoid" else 1.0)
