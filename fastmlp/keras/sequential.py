"""Sequential: a stack of layers in Keras' words, trained by fastmlp's engine."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp import random
from fastmlp.backends.threads import ThreadTuner
from fastmlp.checks import as_float, flag, shown, whole_number
from fastmlp.errors import ConfigError
from fastmlp.keras import arrays, files
from fastmlp.keras.callbacks import Callback, History, checked
from fastmlp.keras.checks import batch_size as size_of
from fastmlp.keras.layers.core import Layer
from fastmlp.keras.missing import missing, refuse
from fastmlp.keras.network import Network
from fastmlp.keras.progress import Progress
from fastmlp.keras.seeds import next_seed
from fastmlp.keras.stack import Stack
from fastmlp.model import load_backend
from fastmlp.train.epochs import Trainer

Indices: TypeAlias = NDArray[np.int64]

_FIT = {
    "steps_per_epoch": None, "validation_steps": None, "validation_freq": 1, "workers": 1,
    "use_multiprocessing": False, "max_queue_size": 10,
}  # fmt: skip
_EVALUATE = {
    "steps": None, "callbacks": None, "workers": 1, "use_multiprocessing": False, "max_queue_size": 10,
}  # fmt: skip

_NEVER_CALLED = (
    "call", "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics",
    "make_train_function", "make_test_function", "make_predict_function",
)  # fmt: skip


class Sequential(Stack):
    """Dense layers, the last with softmax (or none, for a loss from logits), each other with its activation.

    ``backend``: "numba", or "numpy" to do without compiling. Raises ValueError and TypeError for what does
    not fit, as Keras does, and MissingError (a NotImplementedError) for what only Keras has.
    """

    backend = "numba"
    history: History | None
    _free = ("backend", "stop_training")

    def __init__(self, layers: Sequence[Layer] | None = None, name: str | None = None) -> None:
        self._keep(history=None)
        self.stop_training = False
        self._seed, self._epochs = next_seed(), 0
        super().__init__(layers, name)

    def __init_subclass__(cls) -> None:
        for name in _NEVER_CALLED:
            if name in vars(cls):
                raise missing(f"call of {name} ({cls.__name__})", "fit and predict go through the layers")

    # --- training ---------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        *,
        validation_batch_size: int | None = None,
        **others: Any,
    ) -> History:
        """Train on x (N, D) numbers and y, as the loss wants it, from where the last fit ended.

        batch_size: 32 for None. validation_split: the last share of the rows, which is not trained on.
        validation_data: (x, y). Raises ValueError and TypeError; MissingError; DivergedError (an
        ArithmeticError) with the weights of the last good epoch.
        """
        how = self.how
        if not isinstance(shuffle, bool | np.bool_ | int):
            raise missing(f"shuffle={shown(shuffle)} in fit", "it has True and False")
        weights = {"class_weight": class_weight, "sample_weight": sample_weight}
        refuse("fit", weights | others, dict.fromkeys(weights) | _FIT)
        listened = checked(callbacks)
        rows = arrays.inputs_of(x, self.inputs)
        network = self._network(rows.shape[1])
        classes = self._classes(y, rows.shape[0])
        validation = None
        if validation_data is not None:
            validation = self._pair(validation_data)
        elif as_float(validation_split) != 0:
            (rows, classes), validation = arrays.split(rows, classes, validation_split)
        size, last = size_of(batch_size), whole_number("epochs", epochs, 0, 10**9)
        size_of(validation_batch_size, "validation_batch_size")
        first = whole_number("initial_epoch", initial_epoch, 0, 10**9)
        nn = load_backend(self.backend)
        history = next((c for c in listened if isinstance(c, History)), None)
        if history is None:
            listened.append(history := History())
        progress = Progress(verbose, len(classes), size)
        for callback in listened:
            callback.set_model(self)
            callback.set_params({"verbose": progress.verbose, "epochs": last, "steps": progress.steps})
        self._keep(history=history, stop_training=False)
        if validation is not None:
            validation = nn.encode(validation[0]), validation[1]
        order = self._orders(len(classes), shuffle)
        trainer = Trainer(
            nn, network.net, nn.encode(rows), classes, how.loss.loss, size, how.optimizer.rule,
            how.optimizer.state_for(network.net.parameters), ThreadTuner(),
        )  # fmt: skip
        self._train(trainer, range(first, last), order, validation, listened, progress)
        return history

    def _train(
        self, trainer: Trainer, epochs: range, order: Callable[[], Indices],
        validation: tuple[Any, Indices] | None, callbacks: list[Callback], progress: Progress,
    ) -> None:  # fmt: skip
        """Epochs between the callbacks' calls."""
        how, logs = self.how, {}

        def tell(method: str, *args: Any) -> None:
            for callback in callbacks:
                getattr(callback, method)(*args)

        def begin(epoch: int) -> Indices:
            tell("on_epoch_begin", epoch)
            progress.begin(f"Epoch {epoch + 1}/{epochs.stop}" if epochs.stop > 1 else "")
            return order()

        trainer.warm_up(np.arange(1))
        tell("on_train_begin")
        rate = how.optimizer.next_rate  # after the callbacks, which may set it
        for epoch in trainer.epochs(epochs, begin, lambda _: rate(), progress=progress.watch):
            logs = how.logs(epoch.totals.loss, epoch.totals.correct / epoch.totals.samples)
            if validation is not None:
                tested = trainer.evaluate(*validation)
                told = how.logs(tested.loss, tested.accuracy)
                logs |= {f"val_{name}": value for name, value in told.items()}
            tell("on_epoch_end", epoch.number, logs)
            progress.end(logs)
            if self.stop_training:
                break
        tell("on_train_end", logs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        *,
        return_dict: bool = False,
        **others: Any,
    ) -> Any:
        """Mean loss on x (N, D) and y; [loss, accuracy] where compiled so; both by name for ``return_dict``.

        Raises ValueError, TypeError, MissingError.
        """
        how = self.how
        refuse("evaluate", {"sample_weight": sample_weight, **others}, {"sample_weight": None, **_EVALUATE})
        rows = arrays.inputs_of(x, self.inputs)
        network = self._network(rows.shape[1])
        classes = self._classes(y, rows.shape[0])
        progress = Progress(verbose, len(classes), size_of(batch_size))
        progress.begin()
        nn = load_backend(self.backend)
        result = nn.evaluate(network.net, rows, classes, loss=how.loss.loss, threads="auto")
        logs = how.logs(result.loss, result.accuracy)
        progress.end(logs)
        if flag("return_dict", return_dict):
            return logs
        return [result.loss, result.accuracy] if how.metrics else result.loss

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", **others: Any
    ) -> NDArray[np.float32]:
        """The last layer's outputs (N, K) for x (N, D). Raises ValueError, TypeError, MissingError."""
        refuse("predict", others, _EVALUATE)
        rows = arrays.inputs_of(x, self.inputs)
        network = self._network(rows.shape[1], compiled=False)
        progress = Progress(verbose, rows.shape[0], size_of(batch_size))
        progress.begin()
        nn = load_backend(self.backend)
        outputs_of = nn.predict_proba if network.softmax else nn.logits
        outputs: NDArray[np.float32] = outputs_of(network.net, rows, threads="auto")
        progress.end({})
        return outputs

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a safetensors file, which Model.load reads too; see ``files``. Raises OSError, ValueError."""
        files.save(self, filepath, overwrite)

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}>"

    # --- within -----------------------------------------------------------------------------------

    def _network(self, inputs: int, *, compiled: bool = True) -> Network:
        """The net for rows of that many numbers; checked against the loss where ``compiled``."""
        network = Network.of(self._layers)
        self.build((None, inputs))
        if compiled and not (network.softmax or self.loss.from_logits):
            raise missing(
                "loss from probabilities of a net with no softmax",
                "this loss wants one in the last layer, or from_logits=True",
            )
        if compiled and network.softmax and self.loss.from_logits:
            warnings.warn(
                "from_logits=True, and the last layer is a softmax: its logits are taken", stacklevel=3
            )
        return network

    def _classes(self, y: Any, n: int, name: str = "y") -> Indices:
        K = self.output_shape[1]
        assert K is not None
        return arrays.classes_of(y, n, K, self.loss.sparse, name)

    def _pair(self, data: Any) -> tuple[Any, Indices]:
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            raise ConfigError("validation_data must be (x, y)", type(data).__name__)
        if len(data) == 3:
            raise missing("sample_weight in validation_data", "give (x, y)")
        rows = arrays.inputs_of(data[0], self.inputs, "validation x")
        return rows, self._classes(data[1], rows.shape[0], "validation y")

    def _orders(self, N: int, shuffle: bool) -> Callable[[], Indices]:
        """A function for the next order: a new permutation for every epoch, or the order of the rows."""

        def permuted() -> Indices:
            self._epochs += 1
            return random.permutation(N, self._seed, "order", self._epochs)

        return permuted if flag("shuffle", shuffle) else lambda: np.arange(N)
