"""Segments, RFM scores, random splits, places, responses to messages."""

from hashlib import blake2b
from typing import Any

import pytest

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment import parse_segment
from headrace.contracts.segment_conditions import Rfm
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.batch.others import haversine_km
from tests.unit.segmenter.batch.person import DAY, Person, evaluator, holds, segment

T = 100 * DAY


def test_a_segment_is_its_live_version_and_an_unknown_one_has_no_members() -> None:
    others = {"buyers": {"event": {"name": "A"}}}
    buyer = Person().did("A", T)
    assert holds({"segment": {"id": "buyers"}}, buyer, T, others)
    assert not holds({"segment": {"id": "buyers", "member": False}}, buyer, T, others)
    assert not holds({"segment": {"id": "unknown"}}, buyer, T, others)
    assert holds({"segment": {"id": "unknown", "member": False}}, buyer, T, others)
    assert evaluator(others).member("buyers", buyer.subject, T)
    assert not evaluator(others).member("unknown", buyer.subject, T)


def test_of_a_paused_segment_the_members_stay() -> None:
    paused = evaluator(
        {"buyers": {"event": {"name": "A"}}}, frozen={"buyers": lambda profile_id: profile_id == "p9"}
    )
    assert not paused.member("buyers", Person("p1").did("A", T).subject, T)
    assert paused.member("buyers", Person("p9").subject, T)
    stranger = segment({"segment": {"id": "buyers", "member": False}}).when
    assert paused.member(stranger, Person("p1").subject, T)


def test_stages_are_exclusive_and_a_list_is_its_tag() -> None:
    stages = {
        "kind": "stages",
        "id": "life",
        "name": "Life",
        "stages": [
            {"id": "loyal", "when": {"event": {"name": "A", "count": {"gte": 2}}}},
            {"id": "buyer", "when": {"event": {"name": "A"}}},
            {"id": "rest", "when": {"not": {"event": {"name": "B"}}}},
        ],
    }
    parts = parse_segment(stages).segments() + parse_segment({"kind": "list", "id": "vip", "name": "v"}).segments()
    judge = Evaluator({part.id: part for part in parts})

    def of(person: Person) -> list[str]:
        return [part.id for part in parts if judge.member(part.id, person.subject, T)]

    assert of(Person()) == ["life-rest"]
    assert of(Person().did("B", 1)) == []
    assert of(Person().did("A", 1, tags={"list:vip": True})) == ["life-buyer", "vip"]
    assert of(Person().did("A", 1).did("A", 2)) == ["life-loyal"]


def scored(test: dict[str, Any], person: Person, t: int = T) -> bool:
    condition = segment({"rfm": test}).when
    assert isinstance(condition, Rfm)
    population = condition.rfm.population
    cuts = CutPoints(
        population=population,
        version=1,
        at=T,
        recency=(T - 400, T - 300, T - 200, T - 100),
        frequency=(1, 2, 3, 4),
        monetary=("10", "20.5", "30", "40"),
    )
    return evaluator(cuts={population: cuts}).member(condition, person.subject, t)


def buyer(*orders: tuple[int, Any]) -> Person:
    person = Person()
    for at, total in orders:
        person.did("Order Completed", T + at, properties={"total": total})
    return person


def test_a_score_is_one_more_than_the_cut_points_strictly_below() -> None:
    for at, score in ((-401, 1), (-400, 1), (-399, 2), (-100, 4), (-99, 5), (50, 5)):
        for asked in range(1, 6):
            assert scored({"recency": [asked]}, buyer((at, 1), (-500, 1))) is (asked == score)
    for total, score in ((0, 1), (10.0, 1), (10.01, 2), (20.5, 2), (20.51, 3), (40, 4), (41, 5), ("x", 1)):
        assert scored({"monetary": [score]}, buyer((-1, total)))
    for count, score in ((1, 1), (2, 2), (4, 4), (5, 5), (9, 5)):
        assert scored({"frequency": [score]}, buyer(*[(-at, 1) for at in range(count)]))


def test_every_dimension_that_is_asked_for_has_one_of_the_scores() -> None:
    person = buyer((-50, 25), (-60, 0))  # 5, 2, 3
    assert scored({"recency": [4, 5], "frequency": [1, 2], "monetary": [3]}, person)
    assert not scored({"recency": [4, 5], "frequency": [1, 2], "monetary": [4, 5]}, person)
    assert scored({"class": "potential-loyalists"}, person)
    assert not scored({"class": "champions"}, person)


def test_rfm_counts_within_its_window() -> None:
    person = buyer((-DAY, 100), (0, 5))
    assert scored({"frequency": [2], "within": "2d"}, person)
    assert scored({"frequency": [1], "monetary": [1], "within": "1d"}, person)
    assert not scored({"frequency": [1, 2, 3, 4, 5], "within": "1d"}, person, T + DAY)


def test_without_events_or_cut_points_there_is_no_score() -> None:
    assert not scored({"frequency": [1, 2, 3, 4, 5]}, Person().did("Other", T))
    everybody = {"rfm": {"frequency": [1, 2, 3, 4, 5]}}
    assert not holds(everybody, buyer((0, 1)), T)
    other = CutPoints(population="another", version=1, at=T)
    assert not evaluator(cuts={"another": other}).member(segment(everybody).when, buyer((0, 1)).subject, T)


def test_few_cut_points_give_few_scores() -> None:
    condition = segment({"rfm": {"recency": [1], "frequency": [1], "monetary": [1]}}).when
    assert isinstance(condition, Rfm)
    cuts = {condition.rfm.population: CutPoints(population=condition.rfm.population, version=1, at=T)}
    assert evaluator(cuts=cuts).member(condition, buyer((0, 9_999)).subject, T)


def test_a_split_is_by_the_hash_of_salt_and_profile() -> None:
    digest = blake2b(b"exp-1\x1fp1").digest()
    bucket = int.from_bytes(digest[:8], "big") % 10_000
    low, high = bucket / 100, (bucket + 1) / 100
    for begin, end, expected in ((low, high, True), (0, high, True), (high, 100, False), (0, low, False)):
        condition = {"percent": {"from": begin, "to": end, "salt": "exp-1"}}
        assert holds(condition, Person("p1"), T) is expected


def test_splits_are_even_and_whole() -> None:
    tenth = segment({"percent": {"from": 0, "to": 10}}).when
    rest = segment({"percent": {"from": 10, "to": 100}}).when
    judge = evaluator()
    people = [Person(f"p{number}").subject for number in range(2_000)]
    inside = {key for key, member in judge.members(tenth, people, T) if member}
    assert {key for key, member in judge.members(rest, people, T) if not member} == inside
    assert 150 < len(inside) < 250


BRNO = [49.1951, 16.6068]


def at_place(person: Person, at: int, latitude: Any, longitude: Any, **fields: Any) -> Person:
    location = {"latitude": latitude, "longitude": longitude}
    return person.did("A", at, context={"location": location}, **fields)


def test_distances_are_great_circles() -> None:
    assert haversine_km((50.0755, 14.4378), (49.1951, 16.6068)) == pytest.approx(184.6, abs=0.3)
    assert haversine_km((0, 179.5), (0, -179.5)) == pytest.approx(111.195, abs=0.001)
    assert haversine_km((90, 0), (-90, 0)) == pytest.approx(20_015.115, abs=0.001)


def test_the_last_known_place_is_near() -> None:
    near = {"geo": {"within_km": 25, "of": BRNO}}
    person = at_place(Person(), T, 50.0755, 14.4378)
    assert not holds(near, person, T)
    assert holds({"geo": {"within_km": 185, "of": BRNO}}, person, T)
    at_place(person, T + 1, 49.2, 16.6, type="identify")
    assert holds(near, person, T + 1)
    at_place(person, T - 1, 50.0755, 14.4378, time=T + 2)  # late: not the latest
    assert holds(near, person, T + 2)
    for latitude, longitude in ((91, 16.6), ("49.2", 16.6), (True, 16.6), (49.2, None), (49.2, 180.5)):
        at_place(person, T + 3, latitude, longitude)
    assert holds(near, person, T + 3)
    assert not holds(near, Person().did("A", T), T)


def test_a_response_is_of_the_campaign_on_any_channel_within_the_window() -> None:
    clicked = {"message": {"campaign": "win-back", "did": "clicked", "within": "1d"}}
    person = Person().did("Email Link Clicked", T, properties={"campaign_id": "win-back"})
    assert holds(clicked, person, T + DAY - 1)
    assert not holds(clicked, person, T + DAY)
    assert holds({"message": {"campaign": "win-back", "did": "clicked"}}, person, T + DAY)
    assert not holds({"message": {"campaign": "other", "did": "clicked"}}, person, T)
    assert not holds({"message": {"campaign": "win-back", "did": "opened"}}, person, T)
    sms = Person().did("SMS Link Clicked", T, properties={"campaign_id": "win-back"})
    assert holds(clicked, sms, T)
    gone = Person().did("Unsubscribed", T, properties={"campaign_id": "win-back"})
    assert holds({"message": {"campaign": "win-back", "did": "unsubscribed"}}, gone, T)
