"""A progress bar on stderr, for those who ask for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(wanted: bool, epochs: int) -> Iterator[Callable[[float, float | None], None] | None]:
    """Give a function that shows (epochs done, the last loss); None where no bar is wanted."""
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("epoch", total=epochs)

        def show(done: float, loss: float | None) -> None:
            description = "epoch" if loss is None else f"loss {loss:.4f}"
            bar.update(task, completed=done, description=description)

        yield show
