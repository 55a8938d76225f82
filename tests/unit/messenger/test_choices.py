"""What becomes of what a customer chooses."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.communication import Communication
from services.messenger.choices import CHANNELS, Choice, Standing, decide, standing, stop, without_topic
from services.messenger.consent import Consent, Suppression
from services.messenger.customer import Customer

TOPICS = ("news", "offers", "tips")
NAMES = st.frozensets(st.sampled_from(CHANNELS))
SOME_TOPICS = st.frozensets(st.sampled_from(TOPICS))
SAID = st.builds(
    Communication,
    st.none() | NAMES.map(lambda names: tuple(sorted(names))),
    st.none() | SOME_TOPICS.map(lambda names: tuple(sorted(names))),
    st.none() | st.integers(0, 9),
    st.none() | st.sampled_from(CHANNELS),
)


def customer(said: Communication, consents: Mapping[str, str]) -> Customer:
    traits = {name: value for name in said.__struct_fields__ if (value := getattr(said, name)) is not None}
    found = {name: Consent(status, 5) for name, status in consents.items()}
    return Customer("p1", {"communication": traits}, {}, (), found, (), None)


CONSENTS = st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(["granted", "withdrawn"]))
STANDING = st.builds(
    lambda said, consents, addressed, topics: standing(customer(said, consents), addressed, {}, topics),
    SAID,
    CONSENTS,
    NAMES,
    SOME_TOPICS.map(sorted),
)


def as_it_is(now: Standing) -> Choice:
    """The form as it was shown."""
    return Choice(
        list(now.channels),
        [channel for channel, on in now.channels.items() if on],
        list(now.topics),
        [topic for topic, on in now.topics.items() if on],
        now.said.monthly_maximum,
        now.said.preferred,
    )


@given(STANDING)
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(now: Standing) -> None:
    decision = decide(now, as_it_is(now))
    assert not decision.consents
    assert (decision.communication.channels, decision.communication.topics) == (now.said.channels, now.said.topics)


@given(STANDING, NAMES, SOME_TOPICS)
def test_what_is_ticked_is_allowed_and_nothing_else_of_the_form(
    now: Standing, channels: frozenset[str], topics: frozenset[str]
) -> None:
    decision = decide(now, Choice(list(now.channels), channels, list(now.topics), topics))
    for channel, was in now.channels.items():
        wanted = channel in channels
        allowed = decision.communication.allows(channel, None)
        held = "granted" if channel in now.consented else None
        consented = decision.consents.get(channel, held) == "granted"
        assert (allowed and consented) == wanted
        assert (channel in decision.consents) == (
            (was and not wanted) or (wanted and channel not in now.consented)
        )
    for topic in now.topics:
        assert (decision.communication.topics is None or topic in decision.communication.topics) == (
            topic in topics
        )


@given(STANDING, NAMES, SOME_TOPICS)
def test_what_was_not_on_the_form_stays(now: Standing, channels: frozenset[str], topics: frozenset[str]) -> None:
    decision = decide(now, Choice((), channels, (), topics))
    assert not decision.consents
    assert (decision.communication.channels, decision.communication.topics) == (now.said.channels, now.said.topics)


@given(STANDING)
def test_stopping_withdraws_everything_and_keeps_the_rest(now: Standing) -> None:
    decision = stop(now)
    assert set(decision.consents) >= {*now.channels, *now.granted}
    assert set(decision.consents.values()) <= {"withdrawn"}
    assert decision.communication == now.said


@given(STANDING, st.sampled_from(TOPICS))
def test_without_a_topic_only_that_is_not_wanted(now: Standing, topic: str) -> None:
    after = without_topic(now, topic).communication
    assert after.topics is not None
    assert topic not in after.topics
    assert {other for other, on in now.topics.items() if on} - {topic} <= set(after.topics)
    assert (after.channels, after.monthly_maximum, after.preferred) == (
        now.said.channels,
        now.said.monthly_maximum,
        now.said.preferred,
    )


@pytest.mark.parametrize(
    ("suppressions", "offered", "on"),
    [
        ([], True, True),
        ([Suppression("unsubscribed", 5)], True, False),
        ([Suppression("unsubscribed", 4)], True, True),
        ([Suppression("bounced", 1)], False, False),
    ],
)
def test_an_address_that_is_suppressed_is_no_choice_or_not_chosen(
    suppressions: Sequence[Suppression], offered: bool, on: bool
) -> None:
    now = standing(customer(Communication(), {"email": "granted"}), ["email"], {"email": suppressions}, ())
    assert ("email" in now.channels, now.channels.get("email", False)) == (offered, on)


def test_a_consent_of_another_purpose_is_withdrawn_by_stopping() -> None:
    now = standing(customer(Communication(), {"transactional/sms": "granted"}), ["sms"], {}, ())
    assert stop(now).consents == {"sms": "withdrawn", "transactional/sms": "withdrawn"}


def test_a_channel_that_is_not_chosen_is_not_preferred() -> None:
    now = standing(customer(Communication(), {"email": "granted", "sms": "granted"}), CHANNELS, {}, ())
    decision = decide(now, Choice(["email", "sms"], ["email"], preferred="sms"))
    assert decision.communication == Communication(channels=("email", "viber", "whatsapp"))
    assert decision.consents == {"sms": "withdrawn"}
