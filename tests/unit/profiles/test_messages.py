"""Outcomes become messages; the latest events tell what is last known."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.message import MessageOutcome
from services.profiles.last_known import last_known, read_context
from services.profiles.messages import messages
from services.profiles.outcomes import OUTCOMES, event_name


def row(event: str, **properties: Any) -> bytes:
    return msgspec.json.encode({"kind": "event", "event": event, "properties": {"message_id": "m1"} | properties})


@given(
    st.sampled_from(["sms", "email", "viber", "whatsapp", "webhook"]),
    st.sampled_from(sorted({*OUTCOMES.values()})),
)
def test_every_outcome_is_read_back_from_its_event(channel: Any, outcome: Any) -> None:
    told = MessageOutcome(
        message_id="o1",
        id="m1",
        outcome=outcome,
        channel=channel,
        profile_id="p1",
        campaign_id="c",
        campaign_version=1,
        entry_id="e",
        step="0",
        at=1,
    )
    assert OUTCOMES[event_name(told)] == outcome


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["SMS Sent"], "accepted"),
        (["SMS Delivered", "SMS Sent"], "delivered"),
        (["SMS Sent", "SMS Failed"], "failed"),
        (["Email Sent", "Email Bounced"], "bounced"),
        (["SMS Skipped"], "skipped"),
        (["SMS Unknown"], "unknown"),
        (["Email Sent", "Email Opened"], "delivered"),
        (["Unsubscribed"], "delivered"),
    ],
)
def test_what_became_of_a_message_whatever_the_order(events: list[str], status: str) -> None:
    [message] = messages((n, row(name)) for n, name in enumerate(events))
    assert message["status"] == status
    assert message["at"] == 0
    assert len(message["outcomes"]) == len(events)


def test_what_is_no_outcome_is_passed_over() -> None:
    assert messages([(1, row("Something Else"))]) == []


def test_the_newest_message_comes_first() -> None:
    rows = [
        (1, row("SMS Sent", message_id="a")),
        (2, row("SMS Sent", message_id="b")),
        (3, row("SMS Delivered", message_id="a")),
    ]
    assert [one["id"] for one in messages(rows)] == ["b", "a"]


def context(**parts: Any) -> bytes:
    return msgspec.json.encode({"kind": "event", "context": parts})


@pytest.mark.parametrize(
    "payload",
    [b'{"context":[]}', b'{"context":{"page":"x","device":1,"location":null,"campaign":{}}}', b"{}"],
)
def test_a_context_that_says_nothing_is_empty(payload: bytes) -> None:
    assert read_context(payload) == {}


def test_each_part_is_the_latest_that_was_told() -> None:
    rows = [(3, context(userAgent="Firefox")), (2, context(page={"url": "/b"})), (1, context(page={"url": "/a"}))]
    assert last_known(rows) == {
        "device": {"at": 3, "value": {"user_agent": "Firefox"}},
        "page": {"at": 2, "value": {"url": "/b"}},
    }
