"""The value of a computed trait at an instant, from the events alone: docs/adr/0013-computed-traits.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from headrace.contracts.instant import Millis, format_instant
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_figures import LOCAL_HOUR, LOCAL_WEEKDAY, EventFigure, SessionFigure
from services.segmenter.batch.dates import clock, zone
from services.segmenter.batch.events import WEEKDAYS, in_currency, matches, window_moments, within
from services.segmenter.batch.values import Number, number, typed
from services.segmenter.batch.view import Event, Known, View

DAY: Millis = 86_400_000
_PAGES = ("Page Viewed", "Screen Viewed")
_ROUNDED = Context(prec=15, rounding=ROUND_HALF_EVEN)
_WHOLE = Context(prec=2_000)


def computed_value(definition: TraitDefinition, view: View) -> Any:
    """Plain JSON with exact numbers; None when the trait does not exist."""
    figure = definition.figure
    events = _events(figure, view)
    if not events:
        return None
    if isinstance(figure, SessionFigure):
        return _sessions(figure, events)
    name, _ = figure.figure
    return _BY_FIGURE[name](figure, events, view.t)


def computed_moments(definition: TraitDefinition, known: Known, begin: Millis, end: Millis) -> Iterator[Millis]:
    """Every instant in [begin, end] at which the value may change, looking back; some others."""
    figure = definition.figure
    events = known.events if isinstance(figure, SessionFigure) else known.named(figure.name)
    yield from window_moments(events, figure.within_ms)
    if isinstance(figure, EventFigure) and figure.days_since is not None:
        for event in events:
            first = max(0, begin - event.ts) // DAY
            yield from range(event.ts + first * DAY, end + 1, DAY)


def _events(figure: EventFigure | SessionFigure, view: View) -> Sequence[Event]:
    if isinstance(figure, SessionFigure):
        length = figure.within_ms
        return [event for event in view.events(None) if length is None or event.ts > view.t - length]
    found = [event for event in within(figure, view) if matches(event, figure.where)]
    return [event for event in found if in_currency(event, figure.currency)]


def _values(figure: EventFigure, event: Event) -> list[Any]:
    assert figure.of is not None, "asked of figures with a path"
    if figure.of not in (LOCAL_WEEKDAY, LOCAL_HOUR):
        return event.values(figure.of)
    places = map(zone, event.values("context.timezone"))
    wall = clock(event.ts, next((place for place in places if place is not None), UTC))
    if wall is None:
        return []
    return [WEEKDAYS[wall.weekday()] if figure.of == LOCAL_WEEKDAY else wall.hour]


def _numbers(figure: EventFigure, events: Sequence[Event]) -> list[Number]:
    found = (number(value) for event in events for value in _values(figure, event))
    return [value for value in found if value is not None]


def _scalars(figure: EventFigure, events: Sequence[Event]) -> list[Any]:
    return [value for event in events for value in _values(figure, event) if typed(value) is not None]


def _average(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    numbers = _numbers(figure, events)
    return _mean(sum(numbers), len(numbers)) if numbers else None


def _least(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    numbers = _numbers(figure, events)
    return _exact(min(numbers)) if numbers else None


def _greatest(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    numbers = _numbers(figure, events)
    return _exact(max(numbers)) if numbers else None


def _first(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    for event in events:
        if found := _scalars(figure, [event]):
            return _plain(found[0])
    return None


def _last(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    return _first(figure, events[::-1], t)


def _most_frequent(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    seen: dict[Any, tuple[int, int, Any]] = {}
    for place, value in enumerate(_scalars(figure, events)):
        times = seen.get(typed(value), (0,))[0]
        seen[typed(value)] = times + 1, place, value
    return _plain(max(seen.values(), key=lambda one: one[:2])[2]) if seen else None


def _unique(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    assert figure.unique_list is not None, "asked of such figures only"
    found: list[Any] = []
    known = set()
    for value in _scalars(figure, events):
        if typed(value) not in known:
            known.add(typed(value))
            found.append(_plain(value))
    return found[: figure.unique_list.limit] or None


def _distinct(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    return len({typed(value) for value in _scalars(figure, events)}) or None


def _quartiles(figure: EventFigure, events: Sequence[Event], t: Millis) -> Any:
    ordered = sorted(_numbers(figure, events))
    size = len(ordered)
    return [_exact(ordered[-(-part * size // 4) - 1]) for part in (1, 3)] if ordered else None


_BY_FIGURE: Mapping[str, Callable[[EventFigure, Sequence[Event], Millis], Any]] = {
    "count": lambda figure, events, t: len(events),
    "sum": lambda figure, events, t: _exact(sum(_numbers(figure, events))),
    "avg": _average,
    "min": _least,
    "max": _greatest,
    "first": _first,
    "last": _last,
    "most_frequent": _most_frequent,
    "unique_list": _unique,
    "distinct": _distinct,
    "days_since": lambda figure, events, t: max(0, (t - events[-1].ts) // DAY),
    "first_at": lambda figure, events, t: format_instant(events[0].ts),
    "last_at": lambda figure, events, t: format_instant(events[-1].ts),
    "usual_range": _quartiles,
}


def _sessions(figure: SessionFigure, events: Sequence[Event]) -> Any:
    breaks = [place for place, (one, next_one) in enumerate(pairwise(events), 1) if _apart(figure, one, next_one)]
    runs = [events[begin:end] for begin, end in pairwise([0, *breaks, len(events)])]
    if figure.of == "count":
        return len(runs)
    if figure.of == "pages":
        return _mean(sum(event.name in _PAGES for event in events), len(runs))
    return _mean(Fraction(sum(run[-1].ts - run[0].ts for run in runs), 1_000), len(runs))


def _apart(figure: SessionFigure, one: Event, next_one: Event) -> bool:
    return next_one.ts - one.ts > figure.gap_ms


def _plain(value: Any) -> Any:
    exact = number(value)
    return value if exact is None else _exact(exact)


def _exact(value: Number) -> int | Decimal:
    return _divided(_WHOLE, Fraction(value))


def _mean(total: Number, count: int) -> int | Decimal:
    return _divided(_ROUNDED, Fraction(total) / count)


def _divided(context: Context, fraction: Fraction) -> int | Decimal:
    if fraction.denominator == 1 and context is _WHOLE:
        return fraction.numerator
    found = context.divide(Decimal(fraction.numerator), Decimal(fraction.denominator))
    return int(found) if found == int(found) else found
