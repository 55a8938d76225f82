"""Where journeys go: the same whenever they are looked at, and always to an end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.campaign_steps import WaitUntil, walk
from services.messenger.advance import (
    Advanced,
    Effect,
    Facts,
    Journey,
    SendNow,
    Tell,
    Wishes,
    advance,
    begin,
    held_out,
    next_local,
)
from services.messenger.program import branch_segment, hidden_segments, program
from tests.unit.messenger.rig import START, campaign

SEND = {"send": {"channel": "sms", "template": "hello"}}
MINUTE = 60_000


def steps(depth: int = 2) -> st.SearchStrategy[list[dict[str, Any]]]:
    plain = st.one_of(
        st.just(SEND),
        st.just({"send": {"channels": ["preferred", "email"], "template": "mail"}}),
        st.integers(1, 90).map(lambda n: {"wait": f"{n}m"}),
        st.sampled_from(["00:00", "09:30", "23:59"]).map(lambda t: {"wait_until": {"local_time": t}}),
        st.just({"tag": {"name": "seen"}}),
        st.just({"set_trait": {"stage": "later"}}),
        st.just({"award_points": {"points": 5}}),
        st.just({"webhook": {"url": "https://hooks.shop.test/x"}}),
        st.booleans().map(lambda optional: {"voucher": {"pool": "spring", "optional": optional}}),
    )
    if depth == 0:
        return st.lists(plain, max_size=3)
    inner = steps(depth - 1)
    branch = st.builds(
        lambda vip, then, other: {"branch": {"if": {"segment": {"id": vip}}, "then": then, "else": other}},
        st.sampled_from(["vip", "new"]),
        inner,
        inner,
    )
    split = st.builds(
        lambda a, b: {"split": {"variants": {"a": {"weight": 1, "steps": a}, "b": {"weight": 2, "steps": b}}}},
        inner,
        inner,
    )
    return st.lists(st.one_of(plain, branch, split), max_size=4)


campaigns = steps().filter(bool).map(lambda found: parse_campaign(campaign(steps=found)))
facts = st.builds(
    lambda vip, new, voucher, preferred, zone: {
        "members": {"vip": vip, "new": new},
        "voucher": voucher,
        "wishes": Wishes(zone, preferred),
    },
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "sms", "email"]),
    st.sampled_from(["UTC", "Europe/Prague", "America/New_York"]),
)


def answered(known: Facts, advanced: Advanced, world: Mapping[str, Any]) -> Facts:
    ask = advanced.asks
    assert ask is not None
    if ask.what == "wishes":
        return replace(known, wishes=world["wishes"])
    if ask.what == "member":
        return replace(known, members={**known.members, ask.name: world["members"][ask.name]})
    assert ask.what == "voucher"
    return replace(known, vouchers={**known.vouchers, ask.step: world["voucher"]})


def travelled(
    definition: CampaignDefinition, world: Mapping[str, Any], looks: Sequence[int]
) -> tuple[list[Effect], str | None, int | None, str | None]:
    """All effects of a journey that is looked at, at these instants; messages are settled at once. Every answer is
    asked for."""
    journey = Journey("welcome", "e1", "p1", begin(definition), START)
    effects: list[Effect] = []
    due: int | None = START
    reason = None
    known = Facts()
    for now in looks:
        while journey.step is not None and (due is None or due <= now):
            at = journey.at if due is None else due
            advanced = advance(definition, replace(journey, at=at), known, now)
            effects += advanced.effects
            if advanced.asks is not None:
                known = answered(known, advanced, world)
            settled_at = max((e.ready_at for e in advanced.effects if isinstance(e, SendNow)), default=at)
            at = settled_at if advanced.due_at is None else advanced.due_at
            journey = replace(journey, step=advanced.step, at=at, variants=advanced.variants)
            due, reason = at, advanced.reason
    return effects, journey.step, None if journey.step is None else due, reason


@given(campaigns, facts, st.lists(st.integers(0, 20 * 24 * 60), max_size=6))
def test_a_journey_does_the_same_however_often_it_is_looked_at(
    definition: CampaignDefinition, world: Mapping[str, Any], minutes: list[int]
) -> None:
    looks = [*sorted(START + minute * MINUTE for minute in minutes), START + 30 * 24 * 60 * MINUTE]
    assert travelled(definition, world, looks) == travelled(definition, world, looks[-1:])


@given(campaigns, facts)
def test_every_journey_ends_and_does_nothing_twice(
    definition: CampaignDefinition, world: Mapping[str, Any]
) -> None:
    effects, step, _, reason = travelled(definition, world, [START + 400 * 24 * 60 * MINUTE])
    assert step is None
    assert reason in (None, "no_voucher_left")
    paths = [effect.step for effect in effects]
    assert len(paths) == len(set(paths))
    assert set(paths) <= {path for path, _ in walk(definition.steps)}


@given(campaigns)
def test_places_lead_on_to_places_or_to_the_end(definition: CampaignDefinition) -> None:
    laid = program(definition)
    assert set(laid.places) == {path for path, _ in walk(definition.steps)}
    assert all(place.following is None or place.following in laid.places for place in laid.places.values())
    for place in laid.places.values():
        seen, at = set(), place.following
        while at is not None:
            assert at not in seen
            seen.add(at)
            at = laid.places[at].following


def test_a_late_step_says_when_it_was_due() -> None:
    definition = parse_campaign(campaign(steps=[{"wait": "30m"}, SEND]))
    journey = Journey("welcome", "e1", "p1", "0", START)
    waiting = advance(definition, journey, Facts(), START)
    assert (waiting.step, waiting.due_at, waiting.effects) == ("1", START + 30 * MINUTE, ())
    late = advance(definition, replace(journey, step="1", at=START + 30 * MINUTE), Facts(), START + 99 * MINUTE)
    (sent,) = late.effects
    assert isinstance(sent, SendNow)
    assert sent.ready_at == START + 30 * MINUTE


def test_the_preferred_channel_comes_first_and_none_twice() -> None:
    wanted = {"send": {"channels": ["preferred", "email", "sms"], "templates": {"email": "a", "sms": "b"}}}
    definition = parse_campaign(campaign(steps=[wanted]))
    journey = Journey("welcome", "e1", "p1", "0", START)
    for preferred, order in [("sms", ("sms", "email")), ("email", ("email", "sms")), (None, ("email", "sms"))]:
        done = advance(definition, journey, Facts(wishes=Wishes("UTC", preferred)), START)
        (sent,) = done.effects
        assert isinstance(sent, SendNow)
        assert tuple(sent.channels) == order


def test_steps_that_change_the_customer_say_what() -> None:
    found = [
        {"tag": {"name": "vip", "remove": True}},
        {"set_trait": {"stage": "won"}},
        {"award_points": {"points": 50, "reason": "survey"}},
    ]
    done = advance(
        parse_campaign(campaign(steps=found)), Journey("welcome", "e1", "p1", "0", START), Facts(), START
    )
    assert done.effects == (
        Tell("0", START, "Tag Removed", {"tag": "vip"}, tags={"vip": False}),
        Tell("1", START, traits={"stage": "won"}),
        Tell("2", START, "Points Awarded", {"points": 50, "reason": "survey"}),
    )


@given(st.text(max_size=20), st.integers(1, 99))
def test_a_split_and_a_control_group_are_stable_and_about_as_large_as_asked(salt: str, share: int) -> None:
    split = {"split": {"variants": {"a": {"weight": share, "steps": [SEND]}, "b": {"weight": 100 - share}}}}
    definition = parse_campaign(campaign(steps=[split], holdout=f"{share}%"))
    people = [f"{salt}{n}" for n in range(1_000)]

    def variant(person: str) -> str:
        done = advance(definition, Journey("welcome", "e1", person, "0", START), Facts(), START)
        return done.variants["0"]

    held = [held_out(definition, person) for person in people]
    drawn = [variant(person) for person in people]
    assert [variant(person) for person in people] == drawn
    assert abs(sum(held) / 10 - share) < 7
    assert abs(drawn.count("a") / 10 - share) < 7
    # who is held out is no more often in one variant than others are
    both = sum(h and d == "a" for h, d in zip(held, drawn, strict=True)) / 1_000
    assert abs(both - share * share / 10_000) < 0.06


def test_a_decided_split_takes_the_winner_but_leaves_who_was_drawn() -> None:
    split = {
        "split": {
            "variants": {"a": {"steps": [SEND]}, "b": {}},
            "winner": {"metric": "opens", "after": "1d"},
        }
    }
    definition = parse_campaign(campaign(steps=[split]))
    journey = Journey("welcome", "e1", "p1", "0", START)
    asking = advance(definition, journey, Facts(), START)
    assert asking.asks is not None
    assert asking.asks.what == "winners"
    for won in ("a", "b"):
        assert advance(definition, journey, Facts(winners={"0": won}), START).variants == {"0": won}
        drawn = replace(journey, variants={"0": "b"})
        assert advance(definition, drawn, Facts(winners={"0": won}), START).variants == {"0": "b"}
    assert advance(definition, journey, Facts(winners={"0": "gone"}), START).variants["0"] in ("a", "b")


def test_equal_conditions_have_one_hidden_segment() -> None:
    condition = {"event": {"name": "Order Completed", "within": "7d"}}
    branch = {"branch": {"if": condition, "then": [SEND], "else": [{"branch": {"if": dict(condition)}}]}}
    plain = {"branch": {"if": {"segment": {"id": "vip"}}, "then": [SEND]}}
    definition = parse_campaign(campaign(steps=[branch, plain]))
    (hidden,) = hidden_segments(definition).items()
    assert hidden[1] == condition
    assert branch_segment(definition.steps[0].branch) == hidden[0]  # type: ignore[union-attr]
    assert branch_segment(definition.steps[1].branch) == "vip"  # type: ignore[union-attr]


@given(
    at=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)),
    clock=st.sampled_from(["00:00", "02:30", "09:00", "23:30"]),
    zone=st.sampled_from(["UTC", "Europe/Prague", "America/New_York", "Australia/Lord_Howe"]),
    weekdays=st.lists(st.sampled_from(["mon", "wed", "sun"]), unique=True),
)
def test_a_local_time_is_the_first_that_the_clocks_show(
    at: datetime, clock: str, zone: str, weekdays: list[str]
) -> None:
    instant = int(at.replace(tzinfo=UTC).timestamp() * 1000)
    wanted = WaitUntil.model_validate({"local_time": clock, "weekdays": weekdays})
    found = next_local(instant, wanted, zone)
    assert instant <= found <= instant + 9 * 24 * 3_600_000
    local = datetime.fromtimestamp(found / 1000, ZoneInfo(zone))
    shown = local.strftime("%H:%M")
    assert shown == clock or local.utcoffset() != (local.replace(hour=0)).utcoffset(), "skipped in spring"
    assert not wanted.days or local.weekday() in wanted.days


@pytest.mark.parametrize("share", ["0%", "100%", "5", "-1%", "5.555%"])
def test_a_share_is_a_share(share: str) -> None:
    with pytest.raises(Exception, match="share such as 5%"):
        parse_campaign(campaign(holdout=share))
