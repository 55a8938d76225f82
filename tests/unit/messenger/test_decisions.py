"""Decisions that need no engine: what starts a campaign, who may be messaged, where to."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import SegmentChange
from services.messenger.address import address_for
from services.messenger.claims import backoff_ms
from services.messenger.consent import Consent, Suppression, refusal
from services.messenger.entering import by_change
from services.messenger.html_text import html_to_text
from services.messenger.tokens import Keyring
from tests.unit.messenger.rig import START, entered, parsed_campaign

REASONS = ("event", "trait", "time", "definition", "population", "merge", "unmerge", "import", "erasure", "repair")


def change(**fields: Any) -> SegmentChange:
    return msgspec.json.decode(entered("p1", "e1", **{"at": START, **fields}), type=SegmentChange)


@given(
    reason=st.sampled_from(REASONS),
    event=st.sampled_from(["Entered", "Exited"]),
    segment=st.sampled_from(["vip", "other"]),
    state=st.sampled_from(["live", "draft", "paused"]),
    include_current=st.booleans(),
)
def test_only_a_customers_own_entry_starts_a_live_campaign(
    reason: str, event: str, segment: str, state: str, include_current: bool
) -> None:
    campaign = parsed_campaign(state=state, include_current=include_current)
    decision = by_change(change(reason=reason, event=event, segment=segment), campaign, 3, now=START)
    own = {"event", "trait", "time", "population"} | ({"definition"} if include_current else set())
    expected = event == "Entered" and segment == "vip" and state == "live" and reason in own
    assert (decision is not None) == expected


@given(st.integers(0, 10**9))
def test_an_entry_counts_up_to_its_age(age: int) -> None:
    campaign = parsed_campaign(max_entry_age="2h")
    decision = by_change(change(), campaign, 1, now=START + age)
    assert decision is not None
    assert (decision.refused is not None) == (age > 2 * 3_600_000)


def test_a_decision_is_the_same_on_every_replay_and_for_every_profile() -> None:
    one = by_change(change(), parsed_campaign(), 1, now=START)
    two = by_change(change(), parsed_campaign(), 2, now=START + 5)
    assert one is not None
    assert two is not None
    assert one.entry_id == two.entry_id


def test_computed_traits_come_with_the_change() -> None:
    raw = msgspec.json.decode(entered("p1", "e1", at=START))
    raw["context"]["traits"] = {"email": "jana@shop.test", "computed.total": 12.5, "computed.bad": ["\0"]}
    decision = by_change(msgspec.convert(raw, SegmentChange), parsed_campaign(), 1, now=START)
    assert decision is not None
    assert decision.computed == {"total": 12.5}


@given(
    consent=st.none() | st.builds(Consent, st.sampled_from(["granted", "withdrawn"]), st.integers(0, 10)),
    suppressed=st.none() | st.integers(0, 10),
    purpose=st.sampled_from(["marketing", "transactional"]),
)
def test_the_customers_newest_word_decides(consent: Consent | None, suppressed: int | None, purpose: Any) -> None:
    consents = {"sms": consent} if consent else {}
    suppressions = [] if suppressed is None else [Suppression("unsubscribed", suppressed)]
    allowed = refusal("sms", purpose, consents, suppressions) is None
    if purpose == "transactional":
        assert allowed == (consent is None or consent.status == "granted")
    else:
        newest_is_a_grant = consent is not None and consent.status == "granted"
        assert allowed == (
            newest_is_a_grant and (suppressed is None or (consent is not None and consent.time > suppressed))
        )


def test_consent_is_by_channel() -> None:
    assert refusal("email", "marketing", {"sms": Consent("granted", 1)}, []) == "no_consent"


@pytest.mark.parametrize(
    ("phone", "region", "expected"),
    [
        ("+420 601 000 001", None, "+420601000001"),
        ("00420601000001", None, "+420601000001"),
        ("601 000 001", "CZ", "+420601000001"),
        ("601 000 001", None, None),
        ("call me", None, None),
        (420, None, None),
        (True, None, None),
        (None, None, None),
        ("+" + "4" * 100, None, None),
    ],
)
def test_phone_numbers(phone: object, region: str | None, expected: str | None) -> None:
    assert address_for("sms", {"phone": phone}, [], phone_region=region) == expected


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        (" jana@shop.test ", "jana@shop.test"),
        ("jana@kůň.cz", "jana@xn--k-qla0j.cz"),
        ("jána@shop.test", None),
        ("jana@shop.test\r\nBcc: x@x.test", None),
        ("jana", None),
        (["jana@shop.test"], None),
    ],
)
def test_email_addresses(email: object, expected: str | None) -> None:
    assert address_for("email", {"email": email}, []) == expected


def test_an_identifier_stands_in_for_a_trait() -> None:
    identifiers = [{"type": "email", "value": "a@shop.test"}, {"type": "phone", "value": "+420601000002"}]
    assert address_for("sms", {"phone": "?"}, identifiers) == "+420601000002"
    assert address_for("sms", {"phone": "+420601000001"}, identifiers) == "+420601000001"


KEYS = Keyring({1: b"a" * 32, 2: b"b" * 32}, 2)


@given(st.text(max_size=60))
def test_only_our_own_tokens_are_believed(text: str) -> None:
    assert KEYS.verify("unsubscribe", text) is None


def test_tokens_outlive_a_new_key_and_nothing_else() -> None:
    token = Keyring({1: b"a" * 32}, 1).sign("unsubscribe", "s1")
    assert KEYS.verify("unsubscribe", token) == "s1"
    assert Keyring({2: b"b" * 32}, 2).verify("unsubscribe", token) is None
    for position in range(len(token)):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert KEYS.verify("unsubscribe", changed) is None


def test_an_address_hash_is_stable_and_by_channel() -> None:
    old = Keyring({1: b"a" * 32}, 1)
    assert KEYS.address_hash("email", "Jana@shop.test") == old.address_hash("email", "jana@shop.test")
    assert KEYS.address_hash("email", "x") != KEYS.address_hash("sms", "x")


def test_back_off_doubles_up_to_five_minutes() -> None:
    assert [backoff_ms(n) for n in (1, 2, 3)] == [500, 1000, 2000]
    assert backoff_ms(500) == 300_000


def test_text_of_html() -> None:
    html = "<html><head><title>T</title><style>p{}</style></head><body><p>Hi <b>Jana</b> &amp; Co</p><p>Go \n <a href='http://x/'>here</a></p></body>"
    assert html_to_text(html) == "Hi Jana & Co\n\nGo here (http://x/)"


def test_instants_of_changes_are_exact() -> None:
    decision = by_change(change(at=START + 1), parsed_campaign(), 1, now=START)
    assert decision is not None
    assert format_instant(decision.entered_at).endswith(".001Z")
