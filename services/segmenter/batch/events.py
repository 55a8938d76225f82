"""Aggregates over events, and which events a condition is about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from fractions import Fraction

from headrace.contracts.instant import Millis
from headrace.contracts.segment_conditions import EventCondition, Message, MessageTest, response_events
from headrace.contracts.segment_tests import DistinctTest, EdgeTest, EventTest, Local, NumberTest, WhereTest
from headrace.contracts.segment_values import duration_ms
from headrace.contracts.trait_figures import EventFigure
from services.segmenter.batch.dates import clock, zone
from services.segmenter.batch.values import Number, number, satisfies, typed
from services.segmenter.batch.view import Event, Known, Verdict, View

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TOLD = 10  # messageIds of the latest events, in an explanation


def judge_event(leaf: EventCondition, view: View) -> Verdict:
    test = leaf.event
    name, aggregate = test.aggregate
    matching = [event for event in within(test, view) if matches(event, test.where)]
    if name == "count":
        return Verdict(satisfies(aggregate, [len(matching)]), len(matching), told(matching))
    if isinstance(aggregate, EdgeTest):
        return _edge(aggregate, matching if name == "first" else matching[::-1])
    if isinstance(aggregate, DistinctTest):
        different = {typed(value) for event in matching for value in event.values(aggregate.of)} - {None}
        return Verdict(satisfies(aggregate, [len(different)]), len(different), told(matching))
    assert isinstance(aggregate, NumberTest)
    counted = [event for event in matching if in_currency(event, aggregate.currency)]
    result = _AGGREGATES[name](numbers(counted, aggregate.of))
    return Verdict(result is not None and _number_satisfies(aggregate, result), result, told(counted))


def event_moments(leaf: EventCondition, known: Known) -> Iterator[Millis]:
    """Every instant at which the truth of the condition may change, looking back; some others."""
    yield from window_moments(known.named(leaf.event.name), leaf.event.within_ms)


def judge_message(leaf: Message, view: View) -> Verdict:
    test = leaf.message
    length = _message_within(test)
    found = [
        event
        for event in view.events(response_events(test.did))
        if (length is None or event.ts > view.t - length)
        and ("text", test.campaign) in map(typed, event.values("properties.campaign_id"))
    ]
    return Verdict(bool(found), len(found), told(found))


def message_moments(leaf: Message, known: Known) -> Iterator[Millis]:
    yield from window_moments(known.named(response_events(leaf.message.did)), _message_within(leaf.message))


def window_moments(events: Sequence[Event], within: Millis | None) -> Iterator[Millis]:
    """When each event comes into a sliding window, and when it leaves."""
    for event in events:
        yield event.ts
        if within is not None:
            yield event.ts + within


def matches(event: Event, where: Sequence[WhereTest]) -> bool:
    """Whether all tests hold for the event."""
    return all(_holds(test, event) for test in where)


def numbers(events: Sequence[Event], path: str) -> list[Number]:
    """All the numbers under the path of all the events."""
    found = (number(value) for event in events for value in event.values(path))
    return [value for value in found if value is not None]


def told(events: Sequence[Event]) -> tuple[str, ...]:
    """The messageIds of the last of them."""
    return tuple(event.message_id for event in events[-_TOLD:])


def within(test: EventTest | EventFigure, view: View) -> list[Event]:
    """The events of its names in its window."""
    events = view.events(test.name)
    if (length := test.within_ms) is not None:
        return [event for event in events if event.ts > view.t - length]
    if test.between is not None:
        begin, end = test.between.bounds
        return [event for event in events if begin <= event.ts < end]
    return events


def _holds(test: WhereTest, event: Event) -> bool:
    if test.local is not None:
        return _local(test.local, event)
    assert test.path is not None  # the contract: a path, or local
    return satisfies(test, event.values(test.path))


def _local(local: Local, event: Event) -> bool:
    """The weekday and hour of the event's instant, where the event was."""
    named = [*event.values("context.timezone"), local.timezone]
    where = next((found for found in map(zone, named) if found is not None), UTC)
    wall = clock(event.ts, where)
    if wall is None:
        return False
    on_day = local.weekday is None or WEEKDAYS[wall.weekday()] in local.weekday
    return on_day and (local.hours is None or local.hours[0] <= wall.hour < local.hours[1])


def in_currency(event: Event, currency: str | None) -> bool:
    """Whether the event is in this currency (None: in any, or in none)."""
    if currency is None:
        return True
    own = event.values("properties.currency")
    return any(isinstance(value, str) and value.lower() == currency.lower() for value in own)


def _edge(test: EdgeTest, matching: Sequence[Event]) -> Verdict:
    """Of the first of these events that has a value."""
    for event in matching:
        if values := event.values(test.of):
            return Verdict(satisfies(test, values), values, (event.message_id,))
    return Verdict(False)


def _average(values: Sequence[Number]) -> Number | None:
    return Fraction(sum(values)) / len(values) if values else None


_AGGREGATES: Mapping[str, Callable[[Sequence[Number]], Number | None]] = {
    "sum": sum,
    "avg": _average,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
}


def _number_satisfies(test: NumberTest, value: Number) -> bool:
    """As `satisfies`; an aggregate may have more digits than a value of JSON."""
    operator, operand = test.operator
    bounds = [Fraction(one) for one in (operand if isinstance(operand, tuple) else (operand,))]
    return {
        "eq": value == bounds[0],
        "gt": value > bounds[0],
        "gte": value >= bounds[0],
        "lt": value < bounds[0],
        "lte": value <= bounds[0],
        "between": bounds[0] <= value <= bounds[-1],
    }[operator]


def _message_within(test: MessageTest) -> Millis | None:
    return None if test.within is None else duration_ms(test.within)
