"""What is read out of an event and out of a message's outcome."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from headrace.contracts.event import Event
from headrace.contracts.instant import format_instant
from headrace.contracts.message import MessageOutcome, Outcome
from headrace.log.port import Record
from services.profiles.computed import read_change
from services.profiles.identity_rules import Blocked, IdentityRules, SourceRule
from services.profiles.intake import Incoming, Unreadable, event_reader
from services.profiles.outcomes import read_outcome

NOW = 1_790_000_000_000


def record(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record("cdp.events.v1", 3, 7, NOW, None, value, headers)


def event(type: str, *, at: int = NOW - 1000, **fields: Any) -> Event:
    raw: dict[str, Any] = {
        name: msgspec.Raw(msgspec.json.encode(fields.pop(name)))
        for name in ("context", "traits", "properties")
        if name in fields
    }
    return Event(
        type=type,  # type: ignore[arg-type]
        message_id="m1",
        source="shop",
        timestamp=format_instant(at),
        received_at=format_instant(NOW - 500),
        **fields,
        **raw,
    )


def read(type: str, region: str | None = None, **fields: Any) -> Incoming:
    return event_reader(region)(record(msgspec.json.encode(event(type, **fields))))


def test_identifiers_come_from_every_place_the_spec_names() -> None:
    incoming = read(
        "identify",
        region="CZ",
        user_id="u1",
        anonymous_id="a1",
        traits={"email": "Jana@Example.com"},
        context={
            "traits": {"phone": "777 123 456"},
            "externalIds": [
                {"id": "L-1", "type": "loyalty_card", "collection": "users", "encoding": "none"},
                {"id": "C-1", "type": "crm", "collection": "accounts"},
                {"id": None, "type": "crm"},
                "no object",
            ],
            "device": {"id": "D-1", "type": "iOS"},
        },
    )
    assert set(incoming.identifiers) == {
        ("user_id", "u1"),
        ("anonymous_id", "a1"),
        ("email", "jana@example.com"),
        ("phone", "+420777123456"),
        ("loyalty_card", "L-1"),
        ("ios.id", "D-1"),
    }
    assert [(one.type, one.value) for one in incoming.row.external_ids] == [
        ("loyalty_card", "L-1"),
        ("ios.id", "D-1"),
    ]


@pytest.mark.parametrize(("user", "owner"), [("u1", "u1"), (None, "a0"), ("null", "a0")])
def test_an_event_names_one_user_whatever_its_external_ids_say(user: str | None, owner: str) -> None:
    external = [{"type": "user_id", "id": "a0"}, {"type": "user_id", "id": "z9"}]
    found = read("track", event="X", user_id=user, context={"externalIds": external})
    assert found.identifiers == (("user_id", owner),)


def test_a_source_has_a_country_of_its_own() -> None:
    rules = IdentityRules(sources={"shop": SourceRule(region="DE")})
    sent = event("identify", user_id="u1", traits={"phone": "0151 23456789"})
    read_by_rules = event_reader("CZ", rules)
    assert ("phone", "+4915123456789") in read_by_rules(record(msgspec.json.encode(sent))).identifiers
    other = msgspec.structs.replace(sent, source="till")
    assert read_by_rules(record(msgspec.json.encode(other))).identifiers == (("user_id", "u1"),)


def test_a_blocked_value_identifies_nobody_and_stays_a_trait() -> None:
    rules = IdentityRules(blocked={"email": Blocked(frozenset({"info@till.test"}))})
    sent = event("identify", anonymous_id="a1", traits={"email": "Info@Till.test"})
    incoming = event_reader(None, rules)(record(msgspec.json.encode(sent)))
    assert incoming.identifiers == (("anonymous_id", "a1"),)
    assert incoming.traits == {"email": "Info@Till.test"}


@pytest.mark.parametrize("trusted", [True, False])
def test_whether_the_key_is_public_is_kept(trusted: bool) -> None:
    assert read("track", user_id="u1", event="X", trusted=trusted).trusted is trusted


def test_an_alias_links_the_previous_id() -> None:
    incoming = read("alias", user_id="u1", previous_id="a1")
    assert incoming.identifiers == (("user_id", "u1"), ("anonymous_id", "a1"))


def test_an_identify_sets_traits_and_its_own_win_over_the_contexts() -> None:
    incoming = read(
        "identify",
        user_id="u1",
        traits={"plan": "gold", "city": None},
        context={"traits": {"plan": "free", "city": "Brno", "age": 30}},
    )
    assert incoming.traits == {"plan": "gold", "city": None, "age": 30}


@pytest.mark.parametrize("type", ["track", "page", "screen", "group", "alias"])
def test_other_calls_set_no_traits(type: str) -> None:
    incoming = read(type, user_id="u1", traits={"plan": "x"}, context={"traits": {"email": "a@example.com"}})
    assert incoming.traits == {}
    assert ("email", "a@example.com") in incoming.identifiers


def test_a_groups_email_is_not_the_customers() -> None:
    assert read("group", user_id="u1", traits={"email": "office@example.com"}).identifiers == (("user_id", "u1"),)


@pytest.mark.parametrize("context", [{}, [], None, 5, {"traits": 1, "externalIds": 2, "device": 3, "timezone": 4}])
def test_a_context_of_any_shape_is_passed_through(context: object) -> None:
    incoming = read("track", user_id="u1", event="X", context=context)
    assert msgspec.json.decode(incoming.row.context) == context
    assert incoming.time_zone is None


def test_an_event_that_claims_the_future_decides_as_of_now() -> None:
    incoming = read("identify", user_id="u1", at=NOW + 10**9)
    assert incoming.ts == NOW
    assert incoming.stamp == [0, NOW, NOW, 3, 7, "shop", "first"]
    assert incoming.row.ts == NOW + 10**9


def test_consent_is_declared_by_track_events_only() -> None:
    said: dict[str, Any] = {"event": "Consent Given", "user_id": "u1", "properties": {"channel": "sms"}}
    assert read("track", **said).consents == {"sms": "granted"}
    assert read("identify", **said).consents == {}


def test_tags_are_changed_by_track_events_only() -> None:
    said: dict[str, Any] = {"event": "Tag Removed", "user_id": "u1", "properties": {"tag": "vip"}}
    assert read("track", **said).tags == {"vip": False}
    assert read("identify", **said).tags == {}


def test_a_retry_has_the_same_fingerprint_and_another_body_another() -> None:
    first = read("track", user_id="u1", event="X", at=NOW - 1000, properties={"a": 1})
    retry = read("track", user_id="u1", event="X", at=NOW - 999, properties={"a": 1})
    other = read("track", user_id="u1", event="X", properties={"a": 2})
    assert first.body_hash == retry.body_hash != other.body_hash


TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.mark.parametrize(
    ("sent", "kept"), [(TRACE.encode(), TRACE), (b"00-\x00", None), (b"\xff", None), (TRACE.encode() * 2, None)]
)
def test_the_trace_goes_on_and_nothing_that_is_none(sent: bytes, kept: str | None) -> None:
    value = msgspec.json.encode(event("track", user_id="u1", event="X"))
    assert event_reader(None)(record(value, (("traceparent", sent),))).traceparent == kept


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"", "undecodable"),
        (b"{", "undecodable"),
        (b"\xff\xfe", "undecodable"),
        (b"[1]", "undecodable"),
        (b'{"type":"track"}', "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (msgspec.json.encode(event("track", user_id="null", anonymous_id="0")), "no_identifier"),
        (
            msgspec.json.encode(msgspec.structs.replace(event("track", user_id="u"), timestamp="noon")),
            "invalid_timestamp",
        ),
    ],
)
def test_what_cannot_be_read_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        event_reader(None)(record(value))
    assert refused.value.reason == reason


@pytest.mark.parametrize("read", [event_reader(None), read_outcome, read_change])
def test_what_is_nested_too_deeply_is_unreadable(read: Callable[[Record], object]) -> None:
    deep = b'{"type":"track","kind":"x","properties":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(Unreadable) as refused:
        read(record(deep))
    assert refused.value.reason == "undecodable"


def outcome(kind: Outcome, channel: str = "email", *, machine: bool = False) -> Incoming:
    value = MessageOutcome(
        message_id="o1",
        id="s1",
        outcome=kind,
        channel=channel,  # type: ignore[arg-type]
        profile_id="p1",
        campaign_id="win-back",
        campaign_version=2,
        entry_id="e1",
        step="0",
        at=NOW - 10,
        link="https://example.com/a" if kind == "clicked" else None,
        machine=machine,
    )
    return read_outcome(record(msgspec.json.encode(value)))


@pytest.mark.parametrize(
    ("kind", "channel", "name"),
    [
        ("accepted", "sms", "SMS Sent"),
        ("delivered", "sms", "SMS Delivered"),
        ("failed", "sms", "SMS Failed"),
        ("accepted", "email", "Email Sent"),
        ("delivered", "email", "Email Delivered"),
        ("bounced", "email", "Email Bounced"),
        ("opened", "email", "Email Opened"),
        ("clicked", "email", "Email Link Clicked"),
        ("complained", "email", "Email Marked as Spam"),
        ("unsubscribed", "email", "Unsubscribed"),
    ],
)
def test_an_outcome_is_an_event_of_the_specs_name(kind: Outcome, channel: str, name: str) -> None:
    incoming = outcome(kind, channel)
    assert (incoming.row.event, incoming.row.type, incoming.addressed_to) == (name, "track", "p1")
    assert incoming.key == ("headrace.messenger", "o1")


def test_an_outcome_names_its_campaign_and_link() -> None:
    assert msgspec.json.decode(outcome("clicked").row.properties) == {
        "message_id": "s1",
        "campaign_id": "win-back",
        "campaign_version": 2,
        "entry_id": "e1",
        "step": "0",
        "channel": "email",
        "link_url": "https://example.com/a",
    }


@pytest.mark.parametrize("machine", [True, False])
def test_an_open_says_whether_a_machine_did_it(machine: bool) -> None:
    incoming = outcome("opened", machine=machine)
    assert msgspec.json.decode(incoming.row.properties)["machine"] is machine
    assert "machine" not in msgspec.json.decode(outcome("clicked").row.properties)


def test_unsubscribing_withdraws_the_channels_consent() -> None:
    assert outcome("unsubscribed").consents == {"email": "withdrawn"}
    assert outcome("complained").consents == {"email": "withdrawn"}
    assert outcome("opened").consents == {}


def test_an_unknown_outcome_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_outcome(record(b'{"outcome":"teleported"}'))
