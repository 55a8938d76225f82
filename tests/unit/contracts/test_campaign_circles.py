"""Campaigns that start each other: found, spelled out, and allowed where one of them pauses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign_circles import circles
from tests.unit.contracts.campaigns import campaign, known, segment, stages, told, trait

SEND = {"send": {"channel": "sms", "template": "hello"}}


def circle(*definitions: Any) -> list[str]:
    """The circles among these, as they are told."""
    there = known(*definitions)
    return [one.told for one in circles(there.campaigns, there.segment_ids(), there.traits)]


def by(event: str) -> dict[str, str]:
    return {"event": event}


@pytest.mark.parametrize("re_entry", ["always", {"after": "23h"}])
def test_a_campaign_that_starts_itself(re_entry: Any) -> None:
    again = campaign(trigger=by("SMS Sent"), re_entry=re_entry)
    assert told(again) == [
        "trigger: the campaign starts itself again: campaign greet → event SMS Sent → campaign greet "
        "(give one of them re_entry: never, or {after: 1d} or longer)"
    ]


@pytest.mark.parametrize("re_entry", ["never", {"after": "1d"}, {"after": "2w"}])
def test_a_pause_of_a_day_makes_it_right(re_entry: Any) -> None:
    assert circle(campaign(trigger=by("SMS Sent"), re_entry=re_entry)) == []


def test_the_whole_way_is_told_at_each_campaign_on_it() -> None:
    first = campaign("first", steps=[SEND, {"tag": {"name": "welcomed"}}])
    second = campaign("second", trigger={"segment": "outer"}, steps=[{"set_trait": {"plan": "gold"}}])
    segments = [
        segment("outer", "{all: [{segment: {id: inner}}, {consent: {channel: sms}}]}"),
        segment("inner", "{held: {for: 1d, condition: {not: {tag: {name: welcomed}}}}}"),
        segment("vip", "{trait: {name: plan.name, eq: gold}}"),
    ]
    lines = told(first, second, *segments)
    way = (
        "campaign first → tag welcomed → segment inner → segment outer → "
        "campaign second → trait plan → segment vip → campaign first"
    )
    assert (
        lines
        == [
            f"trigger: the campaigns start each other in a circle: {way} "
            "(give one of them re_entry: never, or {after: 1d} or longer)"
        ]
        * 2
    )
    assert circle(first.model_copy(update={"re_entry": "never"}), second, *segments) == []


@pytest.mark.parametrize(
    ("when", "steps", "sign"),
    [
        ("{message: {campaign: greet, did: clicked}}", [SEND], "message clicked"),
        ("{event: {name: [A, SMS Delivered]}}", [SEND], "event SMS Delivered"),
        ("{event: {name: Unsubscribed}}", [SEND], "event Unsubscribed"),
        ("{sequence: {steps: [{event: SMS Sent}], then_not: {event: A, within: 3d}}}", [SEND], "event SMS Sent"),
        ("{sequence: {steps: [{event: A}], then: {event: SMS Sent, within: 3d}}}", [SEND], "event SMS Sent"),
        (
            "{rfm: {event: Points Awarded, frequency: [5]}}",
            [{"award_points": {"points": 5}}],
            "event Points Awarded",
        ),
        ("{event: {name: Voucher Assigned}}", [{"voucher": {"pool": "codes"}}], "event Voucher Assigned"),
        ("{event: {name: Webhook Failed}}", [{"webhook": {"url": "https://a.test"}}], "event Webhook Failed"),
        ("{tag: {name: gold}}", [{"tag": {"name": "gold", "remove": True}}], "tag gold"),
        ("{event: {name: Tag Added}}", [{"tag": {"name": "gold"}}], "event Tag Added"),
        ("{event: {name: Tag Removed}}", [{"tag": {"name": "a", "remove": True}}], "event Tag Removed"),
        ("{trait: {name: computed.texts, gt: 1}}", [SEND], "event SMS Sent → trait computed.texts"),
        (
            "{event: {name: Email Opened}}",
            [{"send": {"channels": ["preferred"], "template": "hello"}}],
            "event Email Opened",
        ),
        (
            "{event: {name: SMS Sent, where: [{path: properties.campaign_id, eq: greet}]}}",
            [SEND],
            "event SMS Sent",
        ),
    ],
)
def test_what_a_segment_looks_at(when: str, steps: list[Any], sign: str) -> None:
    texts = trait("texts", "{event: {name: SMS Sent, count: {}}}")
    there = [campaign(steps=steps), segment("vip", when), texts]
    assert circle(*there) == [f"campaign greet → {sign} → segment vip → campaign greet"]


@pytest.mark.parametrize(
    ("when", "steps"),
    [
        ("{message: {campaign: other, did: clicked}}", [SEND]),
        ("{event: {name: Email Opened}}", [SEND]),
        ("{event: {name: SMS Sent, where: [{path: properties.campaign_id, eq: other}]}}", [SEND]),
        ("{event: {name: SMS Sent}}", [{"tag": {"name": "gold"}}]),
        ("{trait: {name: plan, eq: gold}}", [{"set_trait": {"planned": True}}]),
        ("{event: {name: Order Completed}}", [SEND]),
    ],
)
def test_what_is_no_circle(when: str, steps: list[Any]) -> None:
    assert circle(campaign(steps=steps), segment("vip", when)) == []


def test_a_stage_is_a_segment() -> None:
    life = stages("life", new="{tag: {name: gold}}", old="{event: {name: A}}")
    again = campaign(trigger={"segment": "life-old", "on": "exited"}, steps=[{"tag": {"name": "gold"}}])
    assert circle(again, life) == ["campaign greet → tag gold → segment life-old → campaign greet"]


def test_a_schedule_is_started_by_its_clock() -> None:
    trigger = {"schedule": {"cron": "* * * * *"}, "audience": {"segment": "vip"}}
    assert circle(campaign(trigger=trigger, steps=[{"tag": {"name": "gold"}}])) == []


TAGS = st.sets(st.integers(0, 4), max_size=2)


@given(st.lists(st.tuples(TAGS, TAGS, st.booleans()), max_size=6))
def test_a_circle_is_found_exactly_when_there_is_one(plans: list[tuple[set[int], set[int], bool]]) -> None:
    """Each campaign looks at some tags, puts some on, and may enter a customer only once."""
    definitions: list[Any] = []
    for number, (looks, puts, once) in enumerate(plans):
        tags = [f"{{tag: {{name: t{tag}}}}}" for tag in looks] or ["{tag: {name: nobody}}"]
        steps: list[Any] = [{"tag": {"name": f"t{tag}"}} for tag in puts] or [{"wait": "1h"}]
        re_entry = "never" if once else "always"
        definitions.append(segment(f"s{number}", f"{{any: [{', '.join(tags)}]}}"))
        definitions.append(
            campaign(f"c{number}", trigger={"segment": f"s{number}"}, steps=steps, re_entry=re_entry)
        )
    there = known(*definitions)
    found = list(circles(there.campaigns, there.segment_ids(), there.traits))
    assert bool(found) == goes_round(plans)
    for one in found:
        numbers = [int(id.removeprefix("c")) for id in one.campaigns]
        for here, following in zip(numbers, [*numbers[1:], numbers[0]], strict=True):
            assert plans[here][1] & plans[following][0]
            assert not plans[here][2]


def goes_round(plans: list[tuple[set[int], set[int], bool]]) -> bool:
    """By taking away, again and again, whoever starts nobody that is left."""
    left = {number for number, (_, _, once) in enumerate(plans) if not once}
    while True:
        ends = {here for here in left if not any(plans[here][1] & plans[there][0] for there in left)}
        if not ends:
            return bool(left)
        left -= ends
