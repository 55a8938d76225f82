"""Traits, dates among them, consents and tags: what the customer's own rows set last."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.segment_conditions import Consent, Tagged, Trait
from headrace.contracts.segment_tests import Anniversary, TraitTest
from headrace.contracts.segment_values import COMPUTED, duration_ms
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_references import computed_id
from services.segmenter.batch.computed import computed_moments, computed_value
from services.segmenter.batch.dates import anniversaries, instant
from services.segmenter.batch.values import reach, satisfies
from services.segmenter.batch.view import Change, Known, Verdict, View

_DATES = frozenset({"within_last", "older_than", "within_next", "anniversary"})


def judge_trait(leaf: Trait, view: View, computed: Mapping[str, TraitDefinition]) -> Verdict:
    test = leaf.trait
    if (key := computed_id(test.name)) is not None:
        values = _computed(test, key, view, computed)
        return Verdict(_holds(test, values, view), _told(values))
    change = view.change("trait", _root(test))
    values = _under(test, change)
    return Verdict(_holds(test, values, view), _told(values), _by(change))


def trait_moments(
    leaf: Trait, known: Known, begin: Millis, end: Millis, computed: Mapping[str, TraitDefinition]
) -> Iterator[Millis]:
    """Every instant in [begin, end] at which the truth of the condition may change, looking back; some others."""
    operator, operand = leaf.trait.operator
    if (key := computed_id(leaf.trait.name)) is not None:
        yield from _computed_moments(leaf.trait, key, known, begin, end, computed)
        return
    for change in known.changes.get(("trait", _root(leaf.trait)), ()):
        yield change.at
        for value in _under(leaf.trait, change) if operator in _DATES else ():
            for first, after in _true_spans(operator, operand, value, known, begin, end):
                yield first
                if after is not None:
                    yield after


def _holds(test: TraitTest, values: Sequence[Any], view: View) -> bool:
    operator, operand = test.operator
    if operator in _DATES:
        return any(_date_satisfies(operator, operand, value, view) for value in values)
    return satisfies(test, values)


def _computed(test: TraitTest, key: str, view: View, computed: Mapping[str, TraitDefinition]) -> list[Any]:
    value = computed_value(computed[key], view) if key in computed else None
    return [] if value is None else reach({COMPUTED: {key: value}}, test.name)


def _computed_moments(
    test: TraitTest,
    key: str,
    known: Known,
    begin: Millis,
    end: Millis,
    computed: Mapping[str, TraitDefinition],
) -> Iterator[Millis]:
    if key not in computed:
        return
    changes = set(computed_moments(computed[key], known, begin, end))
    yield from changes
    operator, operand = test.operator
    if operator in _DATES:
        views = [View(known, at, back=True) for at in changes]
        values = [value for view in views for value in _computed(test, key, view, computed)]
        for value in {value for value in values if isinstance(value, str)}:
            for first, after in _true_spans(operator, operand, value, known, begin, end):
                yield first
                if after is not None:
                    yield after


def judge_consent(leaf: Consent, view: View) -> Verdict:
    change = view.change("consent", leaf.consent.channel)
    status = None if change is None else change.value
    return Verdict(status == leaf.consent.is_, status, _by(change))


def judge_tag(leaf: Tagged, view: View) -> Verdict:
    change = view.change("tag", leaf.tag.name)
    on = change is not None and change.value is True
    return Verdict(on, on, _by(change))


def consent_moments(leaf: Consent, known: Known) -> Iterator[Millis]:
    yield from (change.at for change in known.changes.get(("consent", leaf.consent.channel), ()))


def tag_moments(leaf: Tagged, known: Known) -> Iterator[Millis]:
    yield from (change.at for change in known.changes.get(("tag", leaf.tag.name), ()))


def _date_satisfies(operator: str, operand: Any, value: Any, view: View) -> bool:
    spans = _true_spans(operator, operand, value, view.known, view.t, view.t)
    return any(first <= view.t and (after is None or view.t < after) for first, after in spans)


def _true_spans(
    operator: str, operand: Any, value: Any, known: Known, begin: Millis, end: Millis
) -> Iterator[tuple[Millis, Millis | None]]:
    """From when on the test of a date is true and from when on no longer (None: it stays so). Of anniversaries, at
    least those that touch [begin, end]."""
    if isinstance(operand, Anniversary):
        within = operand.within_ms
        for day, next_day in anniversaries(value, known.zone, begin, end + within):
            yield day - within, next_day
        return
    at = instant(value, known.zone)
    window = duration_ms(operand)
    if at is None:
        return
    if operator == "within_last":  # t - W < at <= t
        yield at, at + window
    elif operator == "older_than":  # at <= t - W
        yield at + window, None
    else:  # within_next: t < at <= t + W
        yield at - window, at


def _root(test: TraitTest) -> str:
    return test.name.partition(".")[0].removesuffix("[]")


def _under(test: TraitTest, change: Change | None) -> list[Any]:
    return [] if change is None else reach({_root(test): change.value}, test.name)


def _told(values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    return list(values) or None


def _by(change: Change | None) -> tuple[str, ...]:
    return () if change is None else (change.message_id,)
