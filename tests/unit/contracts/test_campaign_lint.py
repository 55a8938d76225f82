"""What the linter says of campaigns together with what they name."""

from typing import Any

import pytest

from headrace.contracts.template import parse_block
from tests.unit.contracts.campaigns import campaign, mail, segment, sms, stages, told

SEND = {"send": {"channel": "sms", "template": "hello"}}
TAKE = {"voucher": {"pool": "codes"}}
GIVE = {"send": {"channel": "sms", "template": "give"}}
GIVES = sms("give", "Your code: {{ voucher.code }}")
EVENT = {"event": "Order Completed"}
GOAL = {"event": "Order Completed", "within": "3d"}
IF_GOLD = {"tag": {"name": "gold"}}


def test_a_campaign_that_names_what_is_there_is_right() -> None:
    assert told(campaign()) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"trigger": {"segment": "vpi"}},
            "note: trigger.segment: vpi is in none of these files (did you mean vip?)",
        ),
        (
            {"trigger": {"schedule": {"at": "2026-12-01T09:00:00Z"}, "audience": {"segment": "everybody"}}},
            "note: trigger.audience.segment: everybody is in none of these files "
            "(it must be there before these are applied)",
        ),
        (
            {"steps": [SEND, {"branch": {"if": {"not": {"segment": {"id": "gold"}}}, "then": [SEND]}}]},
            "note: steps.1.branch.if.not.segment.id: gold is in none of these files "
            "(it must be there before these are applied)",
        ),
        (
            {"steps": [{"branch": {"if": {"trait": {"name": "computed.ltv", "gt": 1}}, "then": [SEND]}}]},
            "note: steps.0.branch.if: computed.ltv is in none of these files "
            "(it must be there before these are applied)",
        ),
        (
            {"steps": [{"send": {"channel": "sms", "template": "helo"}}]},
            "note: steps.0.send: helo is in none of these files (did you mean hello?)",
        ),
        (
            {"steps": [{"voucher": {"pool": "code"}}, SEND]},
            "note: steps.0.voucher.pool: code is in none of these files (did you mean codes?)",
        ),
        (
            {"trigger": {"segment": "life"}},
            "trigger.segment: life is of kind stages (name one of its stages: life-new, life-old)",
        ),
        (
            {"steps": [{"send": {"channels": ["email", "sms"], "template": "hello"}}]},
            "steps.0.send: template hello is for sms, not for email "
            "(name one for each channel: templates: {email: …})",
        ),
        (
            {"steps": [SEND, {"wait": "1h"}]},
            "note: steps.1: waits for nothing: no step comes after it (leave it out)",
        ),
        (
            {"steps": [SEND, {"branch": {"if": IF_GOLD, "then": [{"wait": "1h"}], "else": [SEND]}}]},
            "note: steps.1.branch.then.0: waits for nothing: no step comes after it (leave it out)",
        ),
        (
            {"steps": [{"branch": {"if": IF_GOLD}}, SEND]},
            "note: steps.0.branch: has no step on either side (leave it out, or add then:)",
        ),
        (
            {"goal": GOAL, "steps": [{"wait": "2d"}, SEND, {"wait": "24h"}, SEND, {"wait": "1h"}, SEND]},
            "note: steps.2: ends when the goal's 3d are over: what is sent after it cannot reach the goal "
            "(wait shorter, or give the goal longer)",
        ),
        (
            {"steps": [{"split": {"variants": {"a": {"weight": 50, "steps": [SEND]}, "b": {}}}}]},
            "note: steps.0.split.variants.b: has no weight, which makes it 1 of 51 (write its weight)",
        ),
        (
            {"steps": [{"split": {"variants": {"a": {"steps": [SEND]}, "b": {"steps": [SEND]}}}}]},
            "note: steps.0.split.variants: are all the same (let them differ, or leave the split out)",
        ),
    ],
)
def test_what_is_said(fields: dict[str, Any], said: str) -> None:
    life = stages("life", new="{tag: {name: new}}", old="{tag: {name: old}}")
    assert told(campaign(**fields), life) == [said]


def test_a_cascade_with_a_template_for_each_channel_is_right() -> None:
    send = {"channels": ["preferred", "sms", "email"], "templates": {"sms": "hello", "email": "letter"}}
    assert told(campaign(steps=[{"send": send}]), mail("letter")) == []
    assert told(campaign(steps=[{"send": {"channels": ["preferred", "sms"], "template": "hello"}}])) == []


@pytest.mark.parametrize(
    "steps",
    [
        [GIVE],
        [GIVE, TAKE, SEND],
        [{"branch": {"if": IF_GOLD, "then": [TAKE], "else": [SEND]}}, GIVE],
        [{"split": {"variants": {"a": {"steps": [TAKE]}, "b": {"steps": [GIVE]}}}}],
    ],
)
def test_a_voucher_is_used_where_none_was_taken(steps: list[Any]) -> None:
    lines = told(campaign(steps=steps), GIVES)
    assert [line for line in lines if "no voucher step comes before it on every path" in line] == lines != []


@pytest.mark.parametrize(
    "steps",
    [
        [TAKE, GIVE],
        [{"branch": {"if": IF_GOLD, "then": [TAKE], "else": [SEND, TAKE]}}, {"wait": "1h"}, GIVE],
        [{"branch": {"if": IF_GOLD, "then": [TAKE, GIVE], "else": [SEND]}}],
    ],
)
def test_a_voucher_is_used_where_one_was_taken(steps: list[Any]) -> None:
    assert told(campaign(steps=steps), GIVES) == []


def test_a_pool_that_may_be_empty_is_noted() -> None:
    [line] = told(campaign(steps=[{"voucher": {"pool": "codes", "optional": True}}, GIVE]), GIVES)
    assert line.startswith(
        "note: steps.1.send: template give uses voucher, and the voucher step before it is optional"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{{ voucher.code | default: "none" }}',
        "{% if voucher %}{{ voucher.code }}{% endif %}",
        "{% comment %}{{ voucher.code }}{% endcomment %}",
        "{{ profile.traits.voucher }} {{ 'voucher' }}",
    ],
)
def test_a_text_that_can_do_without_a_voucher(text: str) -> None:
    assert told(campaign(steps=[GIVE]), sms("give", text)) == []


def test_an_event_is_there_only_if_one_started_the_campaign() -> None:
    cart = sms("cart", "{% for item in event.properties.products %}{{ item.name }}{% endfor %}")
    steps = [{"send": {"channel": "sms", "template": "cart"}}]
    assert told(campaign(steps=steps, trigger=EVENT), cart) == []
    [line] = told(campaign(steps=steps), cart)
    assert line.startswith("steps.0.send: template cart uses event, and the campaign is not started by one")


def test_blocks_are_looked_into() -> None:
    blocks = [
        parse_block({"id": "foot", "text": '{% render "end" %}'}),
        parse_block({"id": "end", "text": "{{ voucher.code }}"}),
    ]
    text = sms("give", 'Hi {% render "foot" %} {% render "top" %}')
    lines = told(campaign(steps=[GIVE]), text, *blocks)
    assert ["uses voucher" in line for line in lines] == [True, False]
    assert lines[1] == "note: : top is in none of these files (it must be there before these are applied)"


def test_surveys_that_templates_link_to() -> None:
    asks = sms(text="{{ survey_url.taste }} {{ survey_url['shoes'] }}")
    assert told(asks, surveys={"taste"}) == [
        "note: : shoes is in none of these files (it must be there before these are applied)"
    ]


def test_every_language_of_a_mail_is_looked_at() -> None:
    letter = mail("letter").model_validate(
        {
            "id": "letter",
            "channel": "email",
            "subject": "Hello",
            "html": "<p>x</p>",
            "locales": {"cs": {"subject": "{{ voucher.code }}", "mjml": "<mjml/>"}},
        }
    )
    [line] = told(campaign(steps=[{"send": {"channel": "email", "template": "letter"}}]), letter)
    assert "uses voucher" in line


def split(metric: str, *channels: str) -> list[Any]:
    variants = {f"v{place}": {"steps": [send(channel)]} for place, channel in enumerate(channels)}
    return [{"split": {"variants": variants, "winner": {"metric": metric, "after": "1d"}}}]


def send(channel: str) -> dict[str, Any]:
    return {"send": {"channel": channel, "template": "hello" if channel == "sms" else "letter"}}


def test_a_winner_needs_what_it_is_measured_by() -> None:
    letter = mail("letter")
    assert told(campaign(steps=split("conversion", "sms", "email"), goal=GOAL), letter) == []
    assert told(campaign(steps=split("opens", "sms", "email")), letter) == []
    steps = split("clicks", "sms", "sms")
    steps[0]["split"]["variants"]["v1"]["steps"].append(send("sms"))
    [line] = told(campaign(steps=steps))
    assert line.startswith("note: steps.0.split.winner: is by clicks, and no variant sends an e-mail")


def test_a_segment_that_is_there_is_not_noted_in_a_branch() -> None:
    steps = [{"branch": {"if": {"segment": {"id": "fans"}}, "then": [SEND]}}]
    assert told(campaign(steps=steps), segment("fans", "{tag: {name: fan}}")) == []
