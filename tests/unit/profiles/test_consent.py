"""The latest declaration decides; at the same instant, the withdrawal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.profile_event import ConsentStatus
from services.profiles.consent import Consent, apply_consent, declared, merge_consent

STATUS = st.sampled_from(["granted", "withdrawn"])
DECLARATIONS = st.lists(st.tuples(st.sampled_from(["sms", "email"]), STATUS, st.integers(0, 3)), max_size=8)
Declarations = list[tuple[str, ConsentStatus, int]]


def state(declarations: Declarations) -> dict[str, Consent]:
    consents: dict[str, Consent] = {}
    for channel, status, time in declarations:
        apply_consent(consents, {channel: status}, time)
    return consents


@given(DECLARATIONS, st.randoms())
def test_the_order_of_declarations_does_not_matter(declarations: Declarations, random: Any) -> None:
    assert state(random.sample(declarations, len(declarations))) == state(declarations)


@given(DECLARATIONS, DECLARATIONS)
def test_a_merge_is_the_same_as_one_history(one: Declarations, other: Declarations) -> None:
    consents = state(one)
    merge_consent(consents, state(other))
    assert consents == state(one + other)


def test_only_a_changed_status_is_reported() -> None:
    consents = state([("sms", "granted", 1)])
    assert apply_consent(consents, {"sms": "granted"}, 2) == {}
    assert apply_consent(consents, {"sms": "withdrawn"}, 2) == {"sms": "withdrawn"}
    assert apply_consent(consents, {"sms": "granted"}, 2) == {}
    assert consents == {"sms": {"status": "withdrawn", "time": 2}}


@pytest.mark.parametrize("channel", [None, 1, "", "two words", ["sms"], "x" * 40])
def test_a_declaration_without_a_channel_says_nothing(channel: object) -> None:
    assert declared("Consent Given", {"channel": channel}) == {}


def test_a_channel_is_written_in_lower_case() -> None:
    assert declared("Consent Withdrawn", {"channel": " SMS "}) == {"sms": "withdrawn"}
