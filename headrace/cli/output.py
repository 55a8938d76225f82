"""Where commands write."""

from rich.console import Console

_UNBROKEN = 10_000


def open_console() -> Console:
    """The standard output. Tables and trees fit a terminal's width; in a pipe or a file a row is one line."""
    console = Console()
    if not console.is_terminal:
        console.width = _UNBROKEN
    return console
