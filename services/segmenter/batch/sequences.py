"""Sequences: steps in order, then what followed or did not."""

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.contracts.instant import Millis, format_instant
from headrace.contracts.segment_conditions import Sequence as SequenceCondition
from headrace.contracts.segment_conditions import SequenceTest, Step
from services.segmenter.batch.events import matches
from services.segmenter.batch.values import Typed, typed
from services.segmenter.batch.view import Event, Known, Verdict, View


def judge_sequence(leaf: SequenceCondition, view: View) -> Verdict:
    """True if one of its runs is."""
    verdicts = [_judge_run(leaf.sequence, events, view.t) for events in _runs(leaf.sequence, view)]
    true = (verdict for verdict in verdicts if verdict.result)
    completed = (verdict for verdict in verdicts if verdict.events)
    return next(true, next(completed, Verdict(False)))


def sequence_moments(leaf: SequenceCondition, known: Known) -> Iterator[Millis]:
    """Every instant at which the truth of the condition may change, looking back; some others."""
    test = leaf.sequence
    due = None if test.then_not is None else test.then_not.within_ms
    for event in known.named(_names(test)):
        yield event.ts
        yield from (event.ts + after for after in (due, test.expires_ms) if after is not None)


def _runs(test: SequenceTest, view: View) -> list[list[Event]]:
    events = view.events(_names(test))
    if test.by is None:
        return [events]
    runs: dict[Typed, list[Event]] = {}
    for event in events:
        for key in {typed(value) for value in event.values(test.by)}:
            if key is not None:
                runs.setdefault(key, []).append(event)
    return list(runs.values())


def _judge_run(test: SequenceTest, events: Sequence[Event], t: Millis) -> Verdict:
    completions = _completions(test, events)
    if not completions:
        return Verdict(False)
    last = completions[-1]
    result = test.expires_ms is None or t < last.ts + test.expires_ms
    deciding = [last]
    if test.then_not is not None:
        after = [event for event in events if event.order > last.order and _is(test.then_not, event)]
        assert test.then_not.within_ms is not None  # what must not follow always has its time
        result = result and last.ts + test.then_not.within_ms <= t and not after
        deciding += after[:1]
    return Verdict(result, _told(last), tuple(event.message_id for event in deciding))


def _completions(test: SequenceTest, events: Sequence[Event]) -> list[Event]:
    """The events that complete the last step."""
    steps = [*test.steps] if test.then is None else [*test.steps, test.then]
    completing = [event for event in events if _is(steps[0], event)]
    for step in steps[1:]:
        before = completing
        completing = [event for event in events if _is(step, event) and _follows(event, before, step.within_ms)]
    return completing


def _follows(event: Event, before: Sequence[Event], within: Millis | None) -> bool:
    """Whether one of the events `before` is earlier, and less than `within` older."""
    return any(
        one.order < event.order and (within is None or event.ts - one.ts < within) for one in reversed(before)
    )


def _is(step: Step, event: Event) -> bool:
    return event.name in step.event and matches(event, step.where)


def _names(test: SequenceTest) -> tuple[str, ...]:
    steps = [*test.steps, *[step for step in (test.then, test.then_not) if step is not None]]
    return tuple(sorted({name for step in steps for name in step.event}))


def _told(completion: Event) -> Any:
    return {"completed": format_instant(completion.ts)}
