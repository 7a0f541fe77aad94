"""The losses: cross-entropy of one-hot rows or of class indices, from probabilities or from logits."""

from __future__ import annotations

from typing import Any

from fastmlp.keras.missing import missing, refuse, unknown_names

__all__ = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]

_OPTIONS = {
    "label_smoothing": 0.0, "axis": -1, "reduction": "sum_over_batch_size", "ignore_class": None,
    "dtype": None, "name": None,
}  # fmt: skip


class Crossentropy:
    """What the subclasses share.

    from_logits: the last layer has no softmax, and the loss is the engine's ``logits``. Else it has one, and
    the loss is ``keras2``: -log of the true class's probability, clipped to 1e-7 .. 1 - 1e-7.
    """

    sparse = False
    word = ""

    def __init__(self, from_logits: bool = False, **others: Any) -> None:
        refuse(type(self).__name__, others, _OPTIONS | {"name": others.get("name")})
        self.from_logits = bool(from_logits)

    @property
    def loss(self) -> str:
        """The engine's word."""
        return "logits" if self.from_logits else "keras2"


class CategoricalCrossentropy(Crossentropy):
    """Of y (N, K), one-hot rows. Raises MissingError for Keras' other options."""

    word = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Crossentropy):
    """Of y (N,) or (N, 1), class indices. Raises MissingError for Keras' other options."""

    sparse = True
    word = "sparse_categorical_crossentropy"


categorical_crossentropy = CategoricalCrossentropy()
sparse_categorical_crossentropy = SparseCategoricalCrossentropy()


def get(loss: Any) -> Crossentropy:
    """The loss of that name, or the object as it is. Raises ValueError, MissingError."""
    if loss is None:
        raise ValueError("compile must have a loss, for example 'categorical_crossentropy'")
    if isinstance(loss, Crossentropy):
        return loss
    for known in (categorical_crossentropy, sparse_categorical_crossentropy):
        if loss in (known.word, type(known).__name__):
            return known
    raise missing(f"loss {loss!r}", f"it has {categorical_crossentropy.word} and its sparse form")


__getattr__ = unknown_names(__name__, "loss", tuple(__all__[:2]))
