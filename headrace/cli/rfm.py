"""`headrace rfm`: the cut points that RFM scores are counted by, as the segmenter has them."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment

_DAY = 86_400_000
_FIGURES = ("recency", "frequency", "monetary")


def show(deployment: Deployment, console: Console) -> None:
    """Every population in use: its cut points, and how many customers are in each class."""
    _print(Service(deployment, "segmenter").items("/v1/rfm"), console)


def compute(deployment: Deployment, console: Console, *, segment: str | None, patience: float) -> None:
    """Have the cut points of a segment, or all in use, computed now, and show them."""
    wanted = {} if segment is None else {"segment_id": segment}
    answer = Service(deployment, "segmenter").post("/v1/rfm/compute", wanted, timeout=patience)
    _print(answer["items"], console)


def _print(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    found = False
    for item in items:
        found = True
        for line in _lines(item):
            say(console, line)
    if not found:
        say(console, "no segment has an rfm condition")


def _lines(item: Mapping[str, Any]) -> Iterable[str]:
    whose = f"{' or '.join(item['event'])}, {item['of']}, {_window(item['within_ms'])}"
    yield f"{whose}: {', '.join(item['segments'])}"
    if item["version"] is None:
        yield "  not computed yet"
        return
    since = f"version {item['version']} of {item['at']}"
    yield f"  {since}, computed {item['computed_at']}, {item['customers']} customers"
    for figure in _FIGURES:
        yield f"  {figure:10}{' | '.join(map(str, item[figure])) or '-'}"
    classes = ", ".join(f"{count} {name}" for name, count in item["classes"].items() if count)
    yield f"  {'classes':10}{classes or '-'}"


def _window(milliseconds: int | None) -> str:
    return "lifetime" if milliseconds is None else f"last {milliseconds / _DAY:g} days"
