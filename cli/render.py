"""Lines, bars, a table of epochs and digits, for people on stderr. Loads rich: import it only when needed.

Bars are drawn on a terminal only; rich honours NO_COLOR. Results go to stdout, by streams.py.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from . import scored
from .streams import clean

if TYPE_CHECKING:
    from fastmlp.data import Dataset
    from fastmlp.train.loop import EpochResult
    from fastmlp.train.scores import Scores
    from fastmlp.words.layers import Architecture
    from fastmlp.words.scales import Scale

SHADES = " ░▒▓█"
SHADES_ASCII = " .:*#"
MOST_TOLD = 12  # lines on what becomes of a table
MOST_EPOCHS = 30  # lines of a table of epochs; of more epochs some are shown
NARROW = 100  # columns of a terminal: below it a table of epochs has fewer
_STEPS = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]
COMPILING = "compiling the kernels (first run, some ten seconds) ..."


class Screen:
    """Output to stderr; with ``quiet``, errors and notices only."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = plain_console(stderr=True)
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty() and not self.console.is_dumb_terminal

    def say(self, label: str, text: str = "") -> None:
        """Show a line about the run: a dim label, then text, which a terminal wraps at spaces."""
        if self.quiet:
            return
        text = clean(text)
        width = max(20, self.console.width - 6)
        lines = textwrap.wrap(text, width) if self.live and "  " not in text else [text]
        for i, line in enumerate(lines or [""]):
            self.console.print(Text.assemble((f"{'' if i else label:<5} ", "dim"), line))

    def notice(self, text: str) -> None:
        """Show a line, even with ``quiet``."""
        self.console.print(Text(clean(text), "yellow"))

    def error(self, text: str) -> None:
        """Show a line about an error."""
        self.console.print(Text.assemble(("Error:", "bold red"), " ", clean(text)))

    def load(self, data: str = "auto", **options: Any) -> Dataset:
        """Load data as ``data.load`` does, with notices as lines and a bar for downloads."""
        from fastmlp.data import load

        with self.downloads() as on_bytes:
            return load(data, **options, notify=self.notice, progress=on_bytes)

    def describe(self, dataset: Dataset, ready: Dataset | None = None) -> None:
        """Show where the data came from, their sizes, and what was found in them and becomes of them.

        ready: the same as arrays, where a table is to be trained on.
        """
        self.say("data", dataset.source)
        self.say("", describe_dataset(dataset))
        told = list(dataset.told)
        if ready is not None and ready.columns is not None:
            told += ready.columns.told
        for line in told[:MOST_TOLD]:
            head, colon, rest = line.partition(": ")
            self.say(*((head, rest) if colon and head in ("label", "task") else ("", line)))
        if len(told) > MOST_TOLD:
            self.say("", f"and {len(told) - MOST_TOLD} more of its columns: fastmlp data shows them all")

    def note_scale(self, dataset: Dataset, scale: Scale) -> None:
        """Show a warning where a scale makes inputs tiny."""
        if (note := scale_note(dataset, scale)) and not self.quiet:
            self.notice(note)

    def score(self, scores: Scores, loss: str, run: str, data: str) -> None:
        """Show how a model does, beside guessing, and whether it is no better than that."""
        if self.quiet:
            return
        for label, text in scored.lines(scores, self.console.width):
            self.say(label, text)
        if (told := scored.no_better(scores, loss, run, data)) is not None:
            self.notice(told)

    def say_if_compiling(self, backend: str, kernel: str = "run") -> None:
        """Show a line before the wait for a compiler, where no compiled code is kept yet."""
        if backend == "numba":
            from fastmlp import kernels

            if not kernels.is_warm(kernel):
                self.say("wait", COMPILING)

    @contextmanager
    def downloads(self) -> Iterator[Callable[[str, int, int], None] | None]:
        """Give a function that shows the progress of downloads; None where no bar may be drawn."""
        if not self.live:
            yield None
            return
        bars = self._bar(DownloadColumn(), TransferSpeedColumn())
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                bars.start()
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total or None)

        try:
            yield show
        finally:
            bars.stop()

    @contextmanager
    def training(
        self, architecture: Architecture, samples: int, epochs: int
    ) -> Iterator[tuple[Callable[[EpochResult, Any], None], Callable[[int, int], None] | None]]:
        """Give callbacks for ``fit``: one for each finished epoch, one for the progress in between."""
        table = _EpochTable(architecture, epochs, narrow=self.live and self.console.width < NARROW)
        if not self.live:

            def print_line(result: EpochResult, _: Any) -> None:
                if not self.quiet:
                    for line in table.lines(result):
                        self.console.print(line)

            yield print_line, None
            for line in [] if self.quiet else table.end():
                self.console.print(line)
            return
        bar = self._bar(TaskProgressColumn(), _Rate(), *_left())
        task = bar.add_task(f"epoch 1/{epochs}", total=samples * epochs)

        def show_progress(epoch: int, done: int) -> None:
            bar.update(task, completed=(epoch - 1) * samples + done, description=f"epoch {epoch}/{epochs}")

        def show_line(result: EpochResult, _: Any) -> None:
            show_progress(result.epoch, samples)
            for line in table.lines(result):
                bar.console.print(line)

        with bar:
            yield show_line, show_progress
            for line in table.end():
                bar.console.print(line)

    @contextmanager
    def folds(
        self, n: int, epochs: int, done: Sequence[Scores]
    ) -> Iterator[tuple[Callable[[int, Scores], None], Callable[[EpochResult, Any], None]]]:
        """Give functions that show folds as they are finished, and the epochs in between.

        done: scores of the folds that are known.
        """
        table, finished = scored.FoldTable(n), list(done)
        bar = self._bar(TaskProgressColumn(), *_left()) if self.live else None
        task = bar.add_task(f"fold {len(done) + 1}/{n}", total=n * epochs) if bar else None

        def show(line: str) -> None:
            if not self.quiet:
                self.console.print(Text(line))

        def show_epoch(result: EpochResult, _: Any) -> None:
            if bar is not None and task is not None:
                k = len(finished)
                bar.update(task, completed=k * epochs + result.epoch, description=f"fold {k + 1}/{n}")

        def show_fold(k: int, scores: Scores) -> None:
            finished.append(scores)
            for line in table.lines(k, scores):
                show(line)

        with bar or nullcontext():
            for k, scores in enumerate(done, start=1):
                for line in table.lines(k, scores):
                    show(line)
            yield show_fold, show_epoch
        if len(finished) == n:
            for line in table.end(finished):
                show(line)

    @contextmanager
    def nets(self) -> Iterator[Callable[[float, float, int, int], None]]:
        """Give a function that shows many trainings' progress: work done, all work, nets done, all nets."""
        if not self.live:
            shown = [-1]

            def print_line(work: float, all_work: float, nets: int, all_nets: int) -> None:
                tenth = int(10 * work / all_work) if all_work else 10
                if tenth != shown[0]:
                    shown[0] = tenth
                    self.say("nets", f"{nets:,}/{all_nets:,}")

            yield print_line
            return
        # nets of several kinds: a longer time gives a better estimate
        bar = self._bar(TaskProgressColumn(), *_left(), speed_estimate_period=120)
        task = bar.add_task("nets")

        def show(work: float, all_work: float, nets: int, all_nets: int) -> None:
            bar.update(task, completed=work, total=all_work or 1, description=f"net {nets:,}/{all_nets:,}")

        with bar:
            yield show

    def _bar(self, *columns: ProgressColumn, **options: Any) -> Progress:
        """Make a bar, or several, that disappear at the end, with these columns on the right."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(complete_style="cyan", finished_style="cyan"),
            *columns,
            console=self.console,
            transient=True,
            **options,
        )


def _left() -> tuple[ProgressColumn, ProgressColumn]:
    return TimeRemainingColumn(), TextColumn("left", style="dim")


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints text unchanged: no markup, no guessed colours, no wrapping."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def describe_dataset(dataset: Dataset) -> str:
    """Sizes of a data set, in a line."""
    import numpy as np

    N, D = dataset.X.shape
    counts = f"{N:,} + {len(dataset.y_test):,}" if len(dataset.y_test) else f"{N:,}"
    if not hasattr(dataset.X, "dtype"):
        return f"{counts} rows of {D} column{'s' * (D > 1)}, {_describe_targets(dataset)}"
    kind = (
        f"images of {dataset.image_shape[0]} x {dataset.image_shape[1]}"
        if dataset.image_shape
        else f"rows of {D}"
    )
    share = np.count_nonzero(dataset.X) / dataset.X.size
    return f"{counts} {kind}, {_describe_targets(dataset)}, {dataset.X.dtype}, {share:.1%} non-zero"


def _describe_targets(dataset: Dataset) -> str:
    if dataset.targets == "flags":
        return f"{len(dataset.classes)} labels each"
    if dataset.targets != "numbers":
        return f"{len(dataset.classes)} classes"
    several = f"{dataset.y.shape[1]} " if dataset.y.shape[1] > 1 else ""
    return f"{several}targets {dataset.y.min():g} .. {dataset.y.max():g}"


def figures(report: dict[str, Any]) -> list[str]:
    """Lines that say how a model did on the test part."""
    if "test_accuracy" in report:
        return [f"Test accuracy: {report['test_accuracy']:.4f}"]
    r2 = "none, of one row" if report["test_r2"] is None else f"{report['test_r2']:.4f}"
    return [f"Test R2: {r2}", f"Test mean absolute error: {report['test_mae']:.6g}"]


def scale_note(dataset: Dataset, scale: Scale) -> str | None:
    """Warning about inputs that the scale makes tiny, so that a net trains slowly or not at all."""
    if not isinstance(scale, float):
        return None
    low, high = float(dataset.X.min()), float(dataset.X.max())
    if not 0 < max(abs(low), abs(high)) < 0.05 * scale:
        return None
    return f"Note: inputs lie in {low:g} .. {high:g} and are divided by {scale:g}: --scale 1 may be meant."


def draw_images(console: Console, dataset: Dataset, n: int) -> Iterator[Text]:
    """Draw the first n training images, side by side within the terminal, two pixels to a character."""
    import numpy as np

    if dataset.image_shape is None:
        return
    images = dataset.X[:n].reshape(-1, *dataset.image_shape).astype(np.float64)
    low, high = float(dataset.X.min()), float(dataset.X.max())
    images = (images - low) / ((high - low) or 1.0)
    step = math.ceil(images.shape[2] / console.width)
    images = images[:, ::step, ::step]
    images = np.pad(images, ((0, 0), (0, images.shape[1] % 2), (0, 0)))
    across = max(1, (console.width + 2) // (images.shape[2] + 2))
    for start in range(0, len(images), across):
        row = images[start : start + across]
        labels = [f"{dataset.classes[y]:<{images.shape[2]}}" for y in dataset.y[start : start + len(row)]]
        yield Text("  ".join(labels).rstrip(), "bold")
        for top, bottom in zip(row.swapaxes(0, 1)[::2], row.swapaxes(0, 1)[1::2], strict=True):
            yield _pixels(console, top, bottom)
        yield Text()


def _pixels(console: Console, top: Any, bottom: Any) -> Text:
    """Two rows of pixels (images, columns) in 0..1 as one line of characters."""
    line = Text()
    shades = SHADES if "utf" in console.encoding.lower() else SHADES_ASCII
    for i, (uppers, lowers) in enumerate(zip(top, bottom, strict=True)):
        line.append("  " if i else "")
        for upper, lower in zip(uppers, lowers, strict=True):
            if not _has_greys(console):
                line.append(shades[round((upper + lower) / 2 * (len(shades) - 1))])
            else:
                line.append("▀", f"rgb{_grey(upper)} on rgb{_grey(lower)}")
    if not _has_greys(console):
        line.rstrip()
    return line


def _has_greys(console: Console) -> bool:
    return console.color_system in ("256", "truecolor") and not console.no_color


def _grey(value: float) -> str:
    return f"({','.join([str(round(255 * value))] * 3)})"


class _EpochTable:
    """A heading, and a line for each epoch, in columns: the accuracies, or of a regression R2 and errors."""

    def __init__(self, architecture: Architecture, epochs: int, *, narrow: bool = False) -> None:
        self.widths, self.epochs, self.narrow = architecture.hidden, epochs, narrow
        self.place = max(5, 2 * len(str(epochs)) + 1)
        self.headed = False
        self.every = next(step for step in _STEPS if epochs <= MOST_EPOCHS * step)
        self.last: EpochResult | None = None  # that has no line yet

    def end(self) -> Iterator[Text]:
        """The line of the last epoch, if it has none."""
        if self.last is not None:
            yield self._line(self.last)

    def lines(self, result: EpochResult) -> Iterator[Text]:
        """The line of an epoch; of many epochs nothing for some."""
        self.last = result
        if not self.headed:
            self.headed = True
            yield Text(f"{'epoch':>{self.place}}      loss{self._heading(result)}", "dim")
        if result.epoch in (1, self.epochs) or result.epoch % self.every == 0:
            self.last = None
            yield self._line(result)

    def _line(self, result: EpochResult) -> Text:
        dead = ", ".join(
            f"{count}/{width}" for count, width in zip(result.dead_units, self.widths, strict=False) if count
        )
        held = ""
        if result.validation_loss is not None:
            of_numbers = result.validation_accuracy is None
            score = result.validation_r2 if of_numbers else result.validation_accuracy
            held = f"   held out {_loss(result.validation_loss)}, {_score(score).strip()}"
        return Text.assemble(
            f"{f'{result.epoch}/{self.epochs}':>{self.place}}{_loss(result.train_loss):>10}",
            *self._scores(result),
            f"{result.seconds:>10.2f}",
            "" if self.narrow else f"{result.samples_per_second:>12,.0f}{result.live_share:>8.1%}",
            held,
            (f"   {dead} units dead" if dead else "", "yellow"),
        )

    def _heading(self, result: EpochResult) -> str:
        own = "   train    test" if result.train_accuracy is not None else " test R2  test error"
        return f"{own}   seconds" + "   samples/s    live" * (not self.narrow)

    def _scores(self, result: EpochResult) -> list[Any]:
        if result.train_accuracy is not None:
            return [_score(result.train_accuracy), (_score(result.test_accuracy), "bold")]
        error = "-" if result.test_mae is None else f"{result.test_mae:.4g}"
        return [(_score(result.test_r2), "bold"), f"{error:>12}"]


def _loss(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.4g}"


def _score(score: float | None) -> str:
    return "       -" if score is None else f"{score:>8.4f}"


class _Rate(ProgressColumn):
    """Samples a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} samples/s" if task.speed else "", "green")
