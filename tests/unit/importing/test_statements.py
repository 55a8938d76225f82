"""Consents and tags of a row are events of their own, by the same customer."""

import json
from typing import Any

import pytest

from headrace.importing.builder import Builder
from headrace.importing.mapping import parse_mapping
from headrace.importing.outcome import Outgoing, Rejection
from tests.unit.importing.shop import rows

HEADER = ["Id", "Email", "News", "When", "Tier", "Labels"]
CONTACTS: dict[str, Any] = {
    "kind": "import",
    "message": {
        "type": "identify",
        "external_ids": [{"type": "crm", "id": "{Id}"}],
        "email": "{Email}",
        "traits": {"tier": "{Tier}"},
    },
    "consents": [
        {
            "channel": "email",
            "column": "News",
            "granted": ["ano"],
            "withdrawn": ["ne"],
            "timestamp": {"column": "When", "format": "%d.%m.%Y"},
            "properties": {"source": {"value": "crm"}},
        }
    ],
    "tags": [
        {"name": "gold", "when": {"column": "Tier", "one_of": ["G", "P"]}, "otherwise": "remove"},
        {"column": "Labels", "separator": "|"},
    ],
}


def outcomes(line: str, **changes: Any) -> list[Outgoing | Rejection]:
    return Builder(parse_mapping({**CONTACTS, **changes}), HEADER).build(rows(line))


def messages(line: str, **changes: Any) -> list[dict[str, Any]]:
    found = outcomes(line, **changes)
    assert all(isinstance(one, Outgoing) for one in found), found
    return [json.loads(one.body) for one in found if isinstance(one, Outgoing)]


def said(line: str) -> list[tuple[str, str]]:
    names = ("channel", "tag")
    return [
        (m["event"], next(m["properties"][name] for name in names if name in m["properties"]))
        for m in messages(line)[1:]
    ]


def test_a_row_says_who_what_they_agreed_to_and_their_tags() -> None:
    identify, consent, gold, tea, oil = messages("1,a@b.cz,Ano,1.3.2025,G,tea| oil|tea|")
    who = {"externalIds": [{"id": "1", "type": "crm", "collection": "users", "encoding": "none"}]}
    assert identify["traits"] == {"email": "a@b.cz", "tier": "G"}
    assert identify["context"] == who
    assert (consent["event"], consent["timestamp"]) == ("Consent Given", "2025-03-01T00:00:00.000Z")
    assert consent["properties"] == {"channel": "email", "source": "crm"}
    assert consent["context"] == {**who, "traits": {"email": "a@b.cz"}}
    assert [(m["event"], m["properties"]["tag"]) for m in (gold, tea, oil)] == [
        ("Tag Added", "gold"),
        ("Tag Added", "tea"),
        ("Tag Added", "oil"),
    ]
    assert len({m["messageId"] for m in (identify, consent, gold, tea, oil)}) == 5


def test_an_empty_cell_says_nothing_and_a_test_that_fails_takes_the_tag_off() -> None:
    assert said("1,,,,S,") == [("Tag Removed", "gold")]
    assert said("1,,ne,1.3.2025,S,") == [("Consent Withdrawn", "email"), ("Tag Removed", "gold")]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [("1,,maybe,1.3.2025,G,", "News", "none of ano, ne"), ("1,,ano,,G,", "When", "is no time of the format")],
)
def test_a_consent_that_cannot_be_read_rejects_the_whole_row(line: str, column: str, reason: str) -> None:
    (found,) = outcomes(line)
    assert isinstance(found, Rejection)
    assert (found.column, found.line) == (column, 2)
    assert reason in found.reason


def test_an_email_is_identity_enough_and_goes_where_its_type_has_it() -> None:
    changed = {**CONTACTS["message"], "external_ids": [], "traits": {}}
    (identify,) = messages("1,a@b.cz,,,,", message=changed, tags=[])
    assert identify["traits"] == {"email": "a@b.cz"}
    track = {**changed, "type": "track", "event": "E", "timestamp": {"column": "When"}, "phone": "{Tier}"}
    (sent,) = messages("1,a@b.cz,,2025-03-01,+420602,", message=track, tags=[])
    assert sent["context"] == {"traits": {"email": "a@b.cz", "phone": "+420602"}}
    (found,) = outcomes("1,,,,,", message=changed, tags=[])
    assert isinstance(found, Rejection)
    assert "no identifier" in found.reason


def test_an_unchanged_row_is_the_same_message_a_changed_one_is_another() -> None:
    old, same, new = (messages(f"1,a@b.cz,ano,1.3.2025,{tier},") for tier in ("G", "G", "S"))
    assert [m["messageId"] for m in old] == [m["messageId"] for m in same]
    assert old[0]["messageId"] != new[0]["messageId"]
    assert old[1]["messageId"] == new[1]["messageId"]
