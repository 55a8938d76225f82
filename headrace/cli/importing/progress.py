"""Progress of an import: a bar on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]
_LINE_EVERY = 5.0


@contextmanager
def progress(console: Console, label: str, total: int) -> Iterator[Advance]:
    """Yields a function that is told how many more rows are done."""
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rows"),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task(label, total=total)
            yield lambda rows: bar.advance(task, rows)
    else:
        yield _plain(console, label, total)


def _plain(console: Console, label: str, total: int) -> Advance:
    done = 0
    due = time.monotonic() + _LINE_EVERY

    def advance(rows: int) -> None:
        nonlocal done, due
        done += rows
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_EVERY
            console.print(f"{label}: {done} of {total} rows", highlight=False)

    return advance
