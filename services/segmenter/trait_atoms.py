"""Atoms of computed traits: what of each event is kept for a figure, shared by traits that ask for the same."""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from headrace.contracts.trait_figures import LOCAL_HOUR, LOCAL_WEEKDAY, EventFigure, Figure, SessionFigure
from services.segmenter.aggregates import Aggregate, Stored
from services.segmenter.compare import Mismatches
from services.segmenter.computed import ComputedTrait
from services.segmenter.figures import (
    Bound,
    Count,
    Different,
    EdgeScalar,
    Latest,
    Mean,
    Numbers,
    Scalars,
    Sessions,
    Sum,
)
from services.segmenter.filters import WEEKDAYS, AnyFilter, clock_of, filter_of
from services.segmenter.items import MAX_ITEMS, ItemAtom, Scope
from services.segmenter.paths import EventView, Steps, parse_path
from services.segmenter.readings import (
    Reading,
    days_of,
    edge_of,
    instant_of,
    mean_of,
    most_frequent_of,
    number_of,
    quartiles_of,
    sessions_of,
    unique_of,
)
from services.segmenter.shapes import digest

Look = Callable[[EventView], Sequence[Any]]
"""What an event has for a figure."""

EVERY_EVENT = "\0every"
"""In the place of names: of the journal of all events."""

_FIGURES: dict[Figure, tuple[str, Aggregate]] = {
    "count": ("count", Count()),
    "sum": ("sum", Sum()),
    "avg": ("avg", Mean()),
    "min": ("min", Bound(greatest=False)),
    "max": ("max", Bound(greatest=True)),
    "first": ("first", EdgeScalar(last=False)),
    "last": ("last", EdgeScalar(last=True)),
    "most_frequent": ("scalars", Scalars()),
    "unique_list": ("scalars", Scalars()),
    "distinct": ("distinct", Different()),
    "days_since": ("latest", Latest(last=True)),
    "first_at": ("earliest", Latest(last=False)),
    "last_at": ("latest", Latest(last=True)),
    "usual_range": ("numbers", Numbers()),
}
"""What is kept for each; the same name is the same atom."""

_READINGS: dict[Figure, Reading] = {
    "count": number_of,
    "sum": number_of,
    "avg": mean_of,
    "min": number_of,
    "max": number_of,
    "first": edge_of,
    "last": edge_of,
    "most_frequent": most_frequent_of,
    "distinct": number_of,
    "days_since": days_of,
    "first_at": instant_of,
    "last_at": instant_of,
    "usual_range": quartiles_of,
}


class TraitAtom(ItemAtom):
    """`every`: all events have a part, whatever their name. `traits` are the published ones that look at it."""

    __slots__ = ("_look", "_summed", "every", "traits")

    def __init__(
        self,
        key: str,
        journal: str,
        names: Sequence[str],
        filters: Sequence[AnyFilter],
        scope: Scope,
        aggregate: Aggregate,
        look: Look,
        *,
        summed: bool,
        every: bool = False,
    ) -> None:
        super().__init__(key, journal, names, filters, (), scope, aggregate)
        self._look = look
        self._summed = summed
        self.every = every
        self.traits: list[ComputedTrait] = []

    def need(self, window: int | None, lookback: int, most: int = MAX_ITEMS) -> None:
        if window is None and not self._summed:
            self.most, self.window = MAX_ITEMS, None
            self.keep = max(self.keep, MAX_ITEMS)
            self.looked_back = self.looked_back or lookback > 0
        else:
            super().need(window, lookback, most)
            if window is None:
                self.based = True

    def hold_everything(self) -> None:
        super().hold_everything()
        self.based = self._summed

    def _stored(self, view: EventView, mismatches: Mismatches) -> Stored | None:
        return self.aggregate.stored(self._look(view), mismatches)


def event_atom(figure: EventFigure) -> TraitAtom:
    """The atom of a figure over named events."""
    names = sorted(set(figure.name))
    name, _ = figure.figure
    kept, aggregate = _FIGURES[name]
    where = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in figure.where]
    span = None if figure.between is None else figure.between.bounds
    shape = {
        "trait": kept,
        "names": names,
        "where": sorted(where, key=str),
        "of": figure.of,
        "between": span,
        "currency": (figure.currency or "").upper(),
    }
    filters = [filter_of(item) for item in figure.where]
    scope, summed = Scope(span, figure.currency), kept not in {"scalars", "numbers"}
    return TraitAtom(digest(shape), digest(names), names, filters, scope, aggregate, _look(figure), summed=summed)


def session_atom(figure: SessionFigure) -> TraitAtom:
    """The atom of the sessions with this gap."""
    shape = {"trait": "sessions", "gap": figure.gap_ms}
    aggregate = Sessions(figure.gap_ms)
    scope = Scope(None, None)
    return TraitAtom(
        digest(shape), digest([EVERY_EVENT]), (), (), scope, aggregate, _session, summed=True, every=True
    )


def reading_of(figure: EventFigure | SessionFigure) -> Reading:
    if isinstance(figure, SessionFigure):
        return sessions_of(figure.of)
    name, _ = figure.figure
    return unique_of(figure.unique_list.limit) if figure.unique_list is not None else _READINGS[name]


def _look(figure: EventFigure) -> Look:
    if figure.of is None:
        return _instant
    return {LOCAL_WEEKDAY: _weekday, LOCAL_HOUR: _hour}.get(figure.of) or _under(parse_path(figure.of))


def _under(steps: Steps) -> Look:
    return lambda view: view.values(steps)


def _instant(view: EventView) -> Sequence[Any]:
    return (view.ts,)


def _session(view: EventView) -> Sequence[Any]:
    return [view.ts, int(view.paged)]


def _weekday(view: EventView) -> Sequence[Any]:
    clock = clock_of(view, UTC)
    return () if clock is None else (WEEKDAYS[clock.weekday()],)


def _hour(view: EventView) -> Sequence[Any]:
    clock = clock_of(view, UTC)
    return () if clock is None else (clock.hour,)
