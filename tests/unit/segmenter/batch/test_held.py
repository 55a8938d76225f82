"""What held for a time: at every instant since, on the events known now."""

from typing import Any

import pytest

from tests.unit.segmenter.batch.person import DAY, HOUR, SECOND, Person, evaluator, holds, instant, segment

T = 100 * DAY


def held(length: str, condition: Any) -> dict[str, Any]:
    return {"held": {"for": length, "condition": condition}}


def event(name: str = "A", **test: Any) -> dict[str, Any]:
    return {"event": {"name": name, **test}}


def truths(when: Any, person: Person, *instants: int) -> list[bool]:
    return [holds(when, person, t) for t in instants]


def test_it_is_true_when_the_time_is_over_to_the_millisecond() -> None:
    person = Person().did("A", T)
    assert truths(held("1h", event()), person, T, T + HOUR - 1, T + HOUR, T + DAY) == [False, False, True, True]


def test_it_ends_when_the_condition_ends() -> None:
    person = Person().did("A", T)
    condition = held("1h", event(within="3h"))
    assert truths(condition, person, T + HOUR, T + 3 * HOUR - 1, T + 3 * HOUR) == [True, True, False]


def test_what_ended_and_began_at_one_instant_was_never_interrupted() -> None:
    person = Person().did("A", T).did("A", T + HOUR)
    assert truths(held("2h", event(within="1h")), person, T + 2 * HOUR - 1) == [False]
    person = Person().did("A", T).did("A", T + HOUR).did("A", T + 2 * HOUR)
    assert truths(held("2h", event(within="1h")), person, T + 2 * HOUR - 1, T + 2 * HOUR) == [False, True]


def test_an_expiry_and_a_new_entry_start_the_time_again() -> None:
    person = Person().did("A", T).did("A", T + HOUR + 1)  # a millisecond without
    condition = held("30m", event(within="1h"))
    half = HOUR // 2
    expected = [True, False, False, True]
    instants = (T + HOUR - 1, T + HOUR, T + HOUR + half, T + HOUR + 1 + half)
    assert truths(condition, person, *instants) == expected


def test_a_late_event_fills_the_gap_that_was_seen() -> None:
    person = Person().did("A", T).did("A", T + HOUR + 1)
    condition = held("30m", event(within="1h"))
    assert not holds(condition, person, T + HOUR + 2)
    assert holds(condition, person.did("A", T + HOUR, time=T + 3 * HOUR), T + HOUR + 2)


def test_what_never_happened_has_not_happened_for_ever() -> None:
    nothing = held("365d", {"not": event()})
    assert holds(nothing, Person(), T)
    assert not holds(nothing, Person().did("A", T), T)


def test_negation_counts_from_when_it_became_false() -> None:
    person = Person().did("A", T)
    quiet = held("2h", {"not": event(within="1h")})
    assert truths(quiet, Person(), T - 1) == [True]
    assert truths(quiet, person, T, T + HOUR, T + 3 * HOUR - 1, T + 3 * HOUR) == [False, False, False, True]


def test_an_event_later_than_now_does_not_count_in_the_past() -> None:
    person = Person().did("A", T + 5 * SECOND)
    assert holds(event(), person, T)
    assert not holds(held("1s", event()), person, T)
    assert not holds(held("1s", event()), person, T + 6 * SECOND - 1)
    assert holds(held("1s", event()), person, T + 6 * SECOND)


def test_an_event_later_than_now_counts_now() -> None:
    assert not holds(held("1s", {"not": event()}), Person().did("A", T + 5 * SECOND), T)


def test_a_change_that_arrived_late_took_effect_when_it_happened() -> None:
    person = Person().did(None, T, time=T + 2 * HOUR, type="identify", traits={"city": "Brno"})
    assert truths(held("1h", {"trait": {"name": "city", "eq": "Brno"}}), person, T + HOUR - 1, T + HOUR) == [
        False,
        True,
    ]


def test_traits_consents_and_tags_were_what_they_became_at_the_time() -> None:
    person = Person().did("A", T, traits={"city": "Brno"}, consents={"sms": "granted"}, tags={"vip": True})
    person.did("A", T + HOUR, traits={"city": "Praha"}, consents={"sms": "withdrawn"}, tags={"vip": False})
    person.did("A", T + 2 * HOUR, traits={"city": "Brno"}, consents={"sms": "granted"}, tags={"vip": True})
    for inside in (
        {"trait": {"name": "city", "eq": "Brno"}},
        {"consent": {"channel": "sms"}},
        {"tag": {"name": "vip"}},
    ):
        assert truths(held("1h", inside), person, T + 3 * HOUR - 1, T + 3 * HOUR) == [False, True]
        assert not holds(held("3h", inside), person, T + 3 * HOUR)


def test_a_change_takes_no_effect_before_an_earlier_change_of_the_same() -> None:
    person = Person().became(T + HOUR, city="Brno").became(T, city="Praha")
    praha = held("1h", {"trait": {"name": "city", "eq": "Praha"}})
    assert truths(praha, person, T + 2 * HOUR - 1, T + 2 * HOUR) == [False, True]
    other = Person().became(T + HOUR, city="Brno").became(T, age=7)
    assert holds(held("1h", {"trait": {"name": "age", "eq": 7}}), other, T + HOUR)


def test_a_merge_takes_effect_at_its_time() -> None:
    person = Person().became(T, city="Brno").absorbed(T + HOUR, traits={"city": "Praha"})
    praha = held("1h", {"trait": {"name": "city", "eq": "Praha"}})
    assert truths(praha, person, T + 2 * HOUR - 1, T + 2 * HOUR) == [False, True]


@pytest.mark.parametrize(
    ("test", "begins", "ends"),
    [
        ({"within_last": "2d"}, T, T + 2 * DAY),
        ({"within_next": "2d"}, T - 2 * DAY, T),
        ({"older_than": "2d"}, T + 2 * DAY, None),
    ],
)
def test_dates_pass_while_nobody_does_anything(test: dict[str, Any], begins: int, ends: int | None) -> None:
    person = Person().became(1, date="1970-04-11")  # T
    condition = held("1d", {"trait": {"name": "date", **test}})
    assert truths(condition, person, begins + DAY - 1, begins + DAY) == [False, True]
    if ends is not None:
        assert truths(condition, person, ends - 1, ends) == [True, False]


def test_an_anniversary_lasts_as_long_as_its_day() -> None:
    person = Person().became(1, born="1990-05-10", timezone="Europe/Prague")
    day = {"trait": {"name": "born", "anniversary": {"within": "1s"}}}
    begin = instant("2026-05-09T22:00") - SECOND
    assert truths(held("24h", day), person, begin + DAY - 1, begin + DAY, begin + DAY + SECOND - 1) == [
        False,
        True,
        True,
    ]
    assert not holds(held("24h", day), person, begin + DAY + SECOND)


def test_a_sequence_that_became_due_and_expired() -> None:
    person = Person().did("A", T)
    abandoned = {
        "sequence": {"steps": [{"event": "A"}], "then_not": {"event": "B", "within": "1h"}, "expires": "5h"}
    }
    expected = [False, True, True, False]
    instants = (T + 3 * HOUR - 1, T + 3 * HOUR, T + 5 * HOUR - 1, T + 5 * HOUR)
    assert truths(held("2h", abandoned), person, *instants) == expected


def test_a_sequence_that_came_and_went_in_between_is_not_overlooked() -> None:
    due = {"sequence": {"steps": [{"event": "A"}], "then_not": {"event": "B", "within": "1h"}, "expires": "5h"}}
    person = Person().did("A", T)
    assert not holds(held("10h", {"not": due}), person, T + 9 * HOUR)
    assert holds(held("4h", {"not": due}), person, T + 9 * HOUR)
    seen = {"sequence": {"steps": [{"event": "A"}], "expires": "1h"}}
    assert not holds(held("2h", seen), person.did("A", T + HOUR + 1), T + 2 * HOUR)
    assert holds(held("2h", seen), person.did("A", T + HOUR), T + 2 * HOUR)


def test_the_last_known_place_was_another_one() -> None:
    def seen(person: Person, at: int, latitude: float) -> Person:
        return person.did("A", at, context={"location": {"latitude": latitude, "longitude": 16.6}})

    near = held("30m", {"geo": {"within_km": 25, "of": [49.19, 16.61]}})
    person = seen(Person(), T, 49.2)
    assert truths(near, person, T + HOUR // 2 - 1, T + HOUR // 2) == [False, True]
    assert not holds(near, seen(person, T + HOUR, 10.0), T + HOUR)
    assert holds(near, seen(person, T + HOUR, 49.2), T + 2 * HOUR)


def test_held_inside_of_held_adds_up() -> None:
    nested = held("1h", held("2h", event()))
    person = Person().did("A", T)
    assert truths(nested, person, T + 3 * HOUR - 1, T + 3 * HOUR) == [False, True]


def test_held_inside_of_not_inside_of_held() -> None:
    person = Person().did("A", T)
    # A within the hour held for half of it: true in [T + 30 min, T + 1 h)
    inner = held("30m", event(within="1h"))
    quiet = held("2h", {"not": inner})
    half = HOUR // 2
    assert truths(quiet, person, T + half - 1, T + half, T + HOUR, T + 3 * HOUR - 1, T + 3 * HOUR) == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_groups_change_when_one_of_their_conditions_does() -> None:
    person = Person().did("A", T).did("B", T + HOUR).became(T + 2 * HOUR, city="Brno")
    both = {
        "all": [event(), {"any": [event("C"), {"all": [event("B"), {"trait": {"name": "city", "eq": "Brno"}}]}]}]
    }
    assert truths(held("1h", both), person, T + 3 * HOUR - 1, T + 3 * HOUR) == [False, True]
    assert truths(held("1h", {"all": [both, event(within="4h")]}), person, T + 4 * HOUR - 1, T + 4 * HOUR) == [
        True,
        False,
    ]


def test_a_segment_for_a_time_is_held_for_it() -> None:
    others = {"recent": event(within="3h")}
    person = Person().did("A", T)
    before = Person().did("A", T - 9 * HOUR)
    member = {"segment": {"id": "recent", "for": "1h"}}
    stranger = {"segment": {"id": "recent", "member": False, "for": "1h"}}
    for t, inside, outside in (
        (T + HOUR - 1, False, False),
        (T + HOUR, True, False),
        (T + 3 * HOUR, False, False),
        (T + 4 * HOUR, False, True),
    ):
        assert holds(member, person, t, others) is inside
        assert holds(stranger, person, t, others) is outside
    assert holds(stranger, before, T - 1, others)


def test_a_segment_inside_of_held_is_its_condition() -> None:
    others = {
        "one": {"segment": {"id": "two"}},
        "two": event(within="3h"),
        "slow": {"segment": {"id": "two", "for": "1h"}},
    }
    person = Person().did("A", T)
    for key, length in (("one", HOUR), ("slow", 2 * HOUR)):
        condition = held("1h", {"segment": {"id": key}})
        assert not holds(condition, person, T + length - 1, others)
        assert holds(condition, person, T + length, others)


def test_a_segment_that_was_left_in_between_is_not_overlooked() -> None:
    others = {"recent": event(within="1h")}
    for when in (held("2h", {"segment": {"id": "recent"}}), {"segment": {"id": "recent", "for": "2h"}}):
        person = Person().did("A", T).did("A", T + HOUR + 1).did("A", T + 2 * HOUR)
        assert not holds(when, person, T + 2 * HOUR, others)
        assert holds(when, person.did("A", T + HOUR), T + 2 * HOUR, others)


def test_members_of_a_paused_segment_are_what_they_are_now() -> None:
    paused = evaluator({"vip": event("never")}, frozen={"vip": lambda profile_id: profile_id == "p1"})
    for person, expected in ((Person("p1"), True), (Person("p2"), False)):
        for when in (held("1h", {"segment": {"id": "vip"}}), {"segment": {"id": "vip", "for": "1h"}}):
            assert paused.member(segment(when).when, person.subject, T) is expected
