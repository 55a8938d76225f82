"""Each shipped segment means what its name says, and knows the others that it asks for."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.cli.shipped import example
from headrace.contracts.cut_points import CutPoints
from headrace.contracts.documents import load_documents
from headrace.contracts.segment import Definition, SegmentDefinition, parse_segment
from headrace.contracts.segment_conditions import Rfm
from headrace.contracts.segment_references import reference_problems
from services.segmenter.batch.evaluator import Evaluator
from tests.unit.segmenter.batch.person import DAY, HOUR, SECOND, Person, instant, segment

NOW = instant("2026-11-27T12:00:00Z")  # a Friday
ORDER = "Order Completed"
DEFINITIONS: dict[str, Definition] = {
    parsed.id: parsed
    for file in sorted(example("segments").glob("*.yaml"))
    for document in load_documents(file.read_text(encoding="utf-8"))
    for parsed in [parse_segment(document)]
}
SEGMENTS = {segment.id: segment for one in DEFINITIONS.values() for segment in one.segments()}
Story = Callable[[Person], object]


def cuts() -> dict[str, CutPoints]:
    """Of everybody: a fifth ordered within 10 days, the next within 100, and so on."""
    condition = segment({"rfm": {"class": "champions", "within": "730d"}}).when
    assert isinstance(condition, Rfm)
    population = condition.rfm.population
    days = tuple(NOW - ago * DAY for ago in (300, 200, 100, 10))
    return {population: CutPoints(population, 1, NOW, days, (1, 2, 3, 5), ("10", "100", "1000", "5000"))}


JUDGE = Evaluator(SEGMENTS, cuts=cuts())


def orders(*days_ago: float, **properties: Any) -> Story:
    return lambda person: [person.did(ORDER, at(ago), properties=properties) for ago in days_ago]


def did(name: str, days_ago: float, context: Any = None, **properties: Any) -> Story:
    return lambda person: person.did(name, at(days_ago), properties=properties, context=context or {})


def became(**traits: Any) -> Story:
    return lambda person: person.became(at(500), **traits)


def on(name: str, moment: str, **fields: Any) -> Story:
    return lambda person: person.did(name, instant(moment), **fields)


def at(days_ago: float) -> int:
    return NOW - int(days_ago * DAY)


def person(*stories: Story) -> Person:
    one = Person()
    for story in stories:
        story(one)
    return one


def clicked(days_ago: float, campaign: str) -> Story:
    return did("Email Link Clicked", days_ago, campaign_id=campaign)


def consents(person: Person) -> Person:
    return person.did(None, at(400), type="identify", consents={"email": "granted"})


LEFT = did("Product Added", 0.5, cart_id="a")
PHONE, DESK = {"device": {"type": "ios"}}, {"device": {"type": "desktop"}}
BRNO, PRAGUE = ({"location": {"latitude": lat, "longitude": lon}} for lat, lon in ((49.2, 16.6), (50.08, 14.42)))
# By segment: histories of members, and of customers who are none.
STORIES: dict[str, tuple[list[list[Story]], list[list[Story]]]] = {
    "active-30d": ([[orders(29)]], [[orders(30)], []]),
    "big-spenders": ([[orders(1, 900, total=500)]], [[orders(1, total=999)]]),
    "lapsing-big-spenders": ([[orders(91, total=1000)]], [[orders(91, 1, total=1000)], [orders(91, total=10)]]),
    "two-orders": ([[orders(1, 2)]], [[orders(1)]]),
    "uk-customers": ([[orders(1, country="United Kingdom")]], [[orders(1, country="France")]]),
    "new-customers": ([[orders(5)]], [[orders(5, 100)], [orders(31)], []]),
    "repeat-customers": ([[orders(1, 2, 364)]], [[orders(1, 2, 366)]]),
    "high-spending": (
        [[orders(1, 2, total=10000, currency="CZK")], [orders(1, total=20000, currency="czk")]],
        [[orders(1, total=20000, currency="EUR")], [orders(366, total=20000, currency="CZK")]],
    ),
    "cart-abandoners": (
        [
            [did("Product Added", 0.5, cart_id="a")],
            [did("Product Added", 0.5, cart_id="a"), orders(0.4, cart_id="b")],
        ],
        [
            [LEFT, orders(0.4, cart_id="a")],
            [did("Product Added", 0.01, cart_id="a")],
            [did("Product Added", 7, cart_id="a")],
            [did("Product Added", 0.5)],
        ],
    ),
    "inactive-customers": ([[orders(180)]], [[orders(180, 179)], []]),
    "engaged-customers": (
        [[did("Product Viewed", n) for n in range(1, 6)], [did("SMS Link Clicked", 13)]],
        [[did("Product Viewed", n) for n in range(3, 8)], [did("SMS Link Clicked", 14)]],
    ),
    "birthday": (
        [[became(birthday="1990-12-04"), consents], [became(birthday="1990-11-27"), consents]],
        [
            [became(birthday="1990-12-05"), consents],
            [became(birthday="1990-11-26"), consents],
            [became(birthday="1990-12-04")],
        ],
    ),
    "rfm-champions": ([[orders(1, 2, 3, 4)]], [[orders(11, 12, 13, 14)], [orders(1)], []]),
    "rfm-at-risk": (
        [[orders(201, 202, 203, total=2000)]],
        [[orders(1, 202, 203, total=2000)], [orders(201, 202, 203, total=20)], [orders(201, total=9000)]],
    ),
    "quiz-dry-skin": (
        [[did("Quiz Completed", 1, quiz_id="skin-care", answers={"skin_type": "dry"})]],
        [
            [
                did("Quiz Completed", 9, quiz_id="skin-care", answers={"skin_type": "dry"}),
                did("Quiz Completed", 1, quiz_id="skin-care", answers={"skin_type": "oily"}),
            ],
            [did("Quiz Completed", 1, quiz_id="wine", answers={"skin_type": "dry"})],
        ],
    ),
    "mobile-shoppers": (
        [[did("Product Viewed", 2, DESK), did(ORDER, 1, PHONE)]],
        [[did("Product Viewed", 2, PHONE), did(ORDER, 1, DESK)], [did("Product Viewed", 90, PHONE)]],
    ),
    "around-brno": (
        [[became(address={"postal_code": "602 00"})], [did("Page Viewed", 2, BRNO)]],
        [
            [became(address={"postal_code": "110 00"})],
            [did("Page Viewed", 2, BRNO), did("Page Viewed", 1, PRAGUE)],
        ],
    ),
    # 23:30 UTC on a Friday is Saturday in Prague, and still Friday in London
    "weekend-shoppers": (
        [[on(ORDER, "2026-11-20T23:30:00Z"), on(ORDER, "2026-11-15T12:00:00Z")]],
        [
            [
                on(ORDER, "2026-11-20T23:30:00Z", context={"timezone": "Europe/London"}),
                on(ORDER, "2026-11-15T12:00:00Z"),
            ],
            [on(ORDER, "2026-11-19T12:00:00Z"), on(ORDER, "2026-11-15T12:00:00Z")],
        ],
    ),
    "evening-shoppers": (
        [[on(ORDER, "2026-11-20T17:00:00Z"), on(ORDER, "2026-11-19T22:59:59Z")]],
        [
            [on(ORDER, "2026-11-20T16:59:59Z"), on(ORDER, "2026-11-19T22:59:59Z")],
            [on(ORDER, "2026-11-20T17:00:00Z"), on(ORDER, "2026-11-19T23:00:00Z")],
        ],
    ),
    "spring-sale-interested": (
        [[clicked(3, "spring-sale")], [orders(14), clicked(3, "spring-sale")]],
        [[clicked(3, "autumn-sale")], [clicked(14, "spring-sale")], [clicked(3, "spring-sale"), orders(2)]],
    ),
    "life-cycle-loyal": ([[orders(1, 2, 364)]], [[orders(1, 2)]]),
    "life-cycle-active": ([[orders(1, 2)], [orders(89)]], [[orders(1, 2, 3)], [orders(90)]]),
    "life-cycle-cooling": ([[orders(90)], [orders(179)]], [[orders(89)], [orders(180)]]),
    "life-cycle-lost": ([[orders(180)], [orders(180), became(email="a@b.cz")]], [[orders(179)], []]),
    "life-cycle-lead": ([[became(email="a@b.cz")]], [[became(email="a@b.cz"), orders(400)], []]),
    "vip": ([[lambda one: one.did("List Joined", at(1), tags={"list:vip": True})]], [[]]),
    "win-back": (
        [[orders(187)]],
        [[orders(186.9)], [orders(187), lambda one: one.did("List Joined", at(1), tags={"list:vip": True})]],
    ),
}


def test_every_segment_has_a_story() -> None:
    assert set(STORIES) == set(SEGMENTS)


@pytest.mark.parametrize("key", SEGMENTS)
def test_it_means_what_its_name_says(key: str) -> None:
    members, others = STORIES[key]
    assert [JUDGE.member(key, person(*story).subject, NOW) for story in members] == [True] * len(members)
    assert [JUDGE.member(key, person(*story).subject, NOW) for story in others] == [False] * len(others)


@pytest.mark.parametrize("key", DEFINITIONS)
def test_what_it_asks_for_is_shipped_too(key: str) -> None:
    assert reference_problems(DEFINITIONS[key], DEFINITIONS) == []


def test_an_abandoned_cart_is_noticed_on_the_second() -> None:
    left = person(did("Product Added", 0, cart_id="a")).subject
    assert not JUDGE.member("cart-abandoners", left, NOW + HOUR - SECOND)
    assert JUDGE.member("cart-abandoners", left, NOW + HOUR)


def test_files_are_called_as_their_segments() -> None:
    files = {file.stem for file in example("segments").glob("*.yaml")}
    assert files == set(DEFINITIONS)
    assert all(isinstance(one, SegmentDefinition) for one in SEGMENTS.values())
