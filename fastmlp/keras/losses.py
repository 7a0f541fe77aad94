"""The losses: cross-entropy of one-hot rows or of class indices, from probabilities or from logits."""

from __future__ import annotations

from typing import Any

from fastmlp.checks import as_text, flag, one_of, shown
from fastmlp.errors import ConfigError
from fastmlp.keras.checks import text
from fastmlp.keras.missing import missing, refuse, unknown_names
from fastmlp.keras.settled import Settled

__all__ = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]

_OPTIONS = {
    "label_smoothing": 0.0, "axis": -1, "reduction": "sum_over_batch_size", "ignore_class": None,
    "dtype": None,
}  # fmt: skip


class Crossentropy(Settled):
    """Base of the two losses.

    from_logits: the last layer has no softmax. Either way the loss is logsumexp(logits) - logit_true: where
    the last layer is a softmax, its logits are taken, as Keras 3 takes them on TensorFlow.
    clip: "keras2" for the loss of Keras 2.0, and of Keras 3 on PyTorch and JAX: -log of the true class's
    probability, clipped to 1e-7 .. 1 - 1e-7. A sample outside has no gradient. Not with from_logits.
    """

    sparse = False
    word = ""
    name: str
    from_logits: bool
    clip: str | None
    label_smoothing, axis, reduction = 0.0, -1, "sum_over_batch_size"

    def __init__(
        self, from_logits: bool = False, *, clip: str | None = None, name: str | None = None, **others: Any
    ) -> None:
        refuse(type(self).__name__, others, _OPTIONS)
        if clip is not None and flag("from_logits", from_logits):
            raise ConfigError(
                "clip must be None with from_logits=True", shown(clip),
                "end the net in a softmax and leave from_logits out: the clip is one of probabilities",
            )  # fmt: skip
        self._keep(
            from_logits=flag("from_logits", from_logits),
            clip=None if clip is None else one_of("clip", clip, ("keras2",)),
            name=self.word if name is None else text("name", name),
        )

    @property
    def loss(self) -> str:
        """Name of the loss for the engine."""
        return self.clip or "logits"


class CategoricalCrossentropy(Crossentropy):
    """Cross-entropy of one-hot rows y (N, K). Raises ValueError, MissingError."""

    word = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Crossentropy):
    """Cross-entropy of class indices y (N,) or (N, 1). Raises ValueError, MissingError."""

    sparse = True
    word = "sparse_categorical_crossentropy"


categorical_crossentropy = CategoricalCrossentropy()
sparse_categorical_crossentropy = SparseCategoricalCrossentropy()


def get(loss: Any) -> Crossentropy:
    """The loss of that name or class, or the object as it is. Raises ValueError, MissingError."""
    if loss is None:
        raise ValueError("compile must have a loss, for example 'categorical_crossentropy'")
    if isinstance(loss, Crossentropy):
        return loss
    for known in (categorical_crossentropy, sparse_categorical_crossentropy):
        if loss is type(known) or as_text(loss) in (known.word, type(known).__name__):
            return known
    raise missing(f"loss {shown(loss)}", f"it has {categorical_crossentropy.word} and its sparse form")


__getattr__ = unknown_names(__name__, "loss", tuple(__all__[:2]))
