"""What an editor knows about campaigns: every step, wherever it stands, and conditions as of segments."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from headrace.contracts.campaign import parse_campaign
from headrace.contracts.campaign_schema import campaign_schema
from headrace.contracts.campaign_steps import STEP_KINDS
from headrace.contracts.documents import load_document
from headrace.contracts.errors import InvalidDefinition

SCHEMA = campaign_schema()
VALID = Draft202012Validator(SCHEMA).is_valid


def document(steps: str) -> dict[str, Any]:
    return {"kind": "campaign", "id": "c", "name": "C", "trigger": {"segment": "s"}, "steps": load_document(steps)}


def test_it_knows_every_step() -> None:
    parts = [part["$ref"].rpartition("/")[2] for part in SCHEMA["$defs"]["JourneyStep"]["oneOf"]]
    assert [next(iter(SCHEMA["$defs"][part]["properties"])) for part in parts] == list(STEP_KINDS)


@pytest.mark.parametrize(
    "steps",
    [
        "[{send: {channel: sms, template: t}}]",
        "[{send: {channels: [viber, sms], templates: {viber: v, sms: t}}}]",
        "[{branch: {if: {not: {all: [{segment: {id: vip}}, {tag: {name: a}}]}}, then: [{wait: 1h}]}}]",
        "[{split: {variants: {a: {steps: [{branch: {if: {tag: {name: a}}, else: [{tag: {name: b}}]}}]}, b: {}}}}]",
        "[{wait_until: {local_time: '09:00', weekdays: [mon]}}, {voucher: {pool: p}}]",
        "[{award_points: {points: 5}}, {set_trait: {plan: null}}, {webhook: {url: 'https://a.b', body: {a: 1}}}]",
    ],
)
def test_it_takes_what_the_parser_takes(steps: str) -> None:
    Draft202012Validator(SCHEMA).validate(document(steps))
    parse_campaign(document(steps))


@pytest.mark.parametrize(
    "steps",
    [
        "[]",
        "[{}]",
        "[3]",
        "[{wait: 1h, send: {channel: sms, template: t}}]",
        "[{send: {channel: sms}}]",
        "[{send: {channel: sms, channels: [sms], template: t}}]",
        "[{send: {template: t}}]",
        "[{branch: {then: [{wait: 1h}]}}]",
        "[{branch: {if: {segment: vip}, then: []}}]",
        "[{branch: {if: {not: {all: []}}}}]",
        "[{branch: {if: {tag: {name: a}}, then: [{wiat: 1h}]}}]",
        "[{split: {variants: {a: {steps: [{wait: soon}]}, b: {}}}}]",
        "[{split: {variants: {A B: {}, b: {}}}}]",
        "[{wait_until: {local_time: 9am}}]",
    ],
)
def test_it_refuses_what_the_parser_refuses(steps: str) -> None:
    assert not VALID(document(steps))
    with pytest.raises(InvalidDefinition):
        parse_campaign(document(steps))


def test_every_part_is_used() -> None:
    asked = str(SCHEMA)
    assert [name for name in SCHEMA["$defs"] if f"'#/$defs/{name}'" not in asked] == []
