"""`held`, which looks only at instants at which something may change, against looking at every one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.segment_conditions import Condition, Held
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluator import Evaluator
from tests.unit.segmenter.batch.person import SECOND, Person, segment

_seconds = st.integers(1, 6).map(lambda n: f"{n}s")
_events = st.builds(
    lambda name, within, count: {
        "event": {"name": name, "count": count, **({"within": within} if within else {})}
    },
    st.sampled_from(["A", "B"]),
    st.none() | _seconds,
    st.sampled_from([{"gte": 1}, {"eq": 1}, {"gte": 2}, {"eq": 0}]),
)
_sequences = st.builds(
    lambda following, within: {
        "sequence": {"steps": [{"event": "A"}], following: {"event": "B", "within": within}, "expires": "7s"}
    },
    st.sampled_from(["then", "then_not"]),
    _seconds,
)
_conditions = st.recursive(
    _events | _sequences,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.tuples(inner, inner).map(lambda both: {"all": list(both)}),
        st.tuples(inner, inner).map(lambda both: {"any": list(both)}),
        st.tuples(_seconds, inner).map(lambda pair: {"held": {"for": pair[0], "condition": pair[1]}}),
    ),
    max_leaves=3,
)
_histories = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 20)), max_size=6)
_JUDGE = Evaluator({})


def _person(history: list[tuple[str, int]]) -> Person:
    person = Person()
    for name, at in history:
        person.did(name, at * SECOND)
    return person


def _held_everywhere(held: Held, subject: Subject, t: int) -> bool:
    """At every half second: everything changes at whole ones."""
    condition = held.held.condition
    instants = range(t - held.held.for_ms, t + 1, SECOND // 2)
    return _JUDGE.member(condition, subject, t) and all(_then(condition, subject, at) for at in instants)


def _then(condition: Condition, subject: Subject, at: int) -> bool:
    """With the events until then alone, as it was seen by somebody to whom none of them came late."""
    until = Subject(subject.profile_id, [row for row in subject.events if row.ts <= at], [])
    return _JUDGE.member(condition, until, at)


@given(_conditions, _seconds, _histories, st.integers(0, 60))
def test_held_is_what_it_is_at_every_instant(
    condition: Any, length: str, history: list[tuple[str, int]], half_seconds: int
) -> None:
    held = segment({"held": {"for": length, "condition": condition}}).when
    assert isinstance(held, Held)
    subject, t = _person(history).subject, half_seconds * SECOND // 2
    assert _JUDGE.member(held, subject, t) is _held_everywhere(held, subject, t)


@given(
    _conditions, _histories.flatmap(lambda events: st.tuples(st.just(events), st.permutations(range(len(events)))))
)
def test_the_order_in_which_events_are_given_does_not_matter(
    condition: Any, given_twice: tuple[list[tuple[str, int]], list[int]]
) -> None:
    history, order = given_twice
    subject, when = _person(history).subject, segment(condition).when
    shuffled = Subject(subject.profile_id, [subject.events[place] for place in order], subject.own)
    for t in range(0, 30 * SECOND, 7 * SECOND // 2):
        assert _JUDGE.member(when, subject, t) is _JUDGE.member(when, shuffled, t)
