"""A channel with several providers: which is used, how much may be sent, and who is never asked twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.providers.breaker import FAILURES, FIRST_PAUSE_MS
from services.messenger.providers.guard import LONGEST_THROTTLE_MS, THROTTLED_MS, UNLIMITED, Channel, Guarded
from services.messenger.providers.port import Accepted, NotSent, Refused, SendResult, Unsure
from tests.unit.messenger.rig import START, ManualClock, ScriptedProvider

DOWN = NotSent("connection", concerns="provider")
ANSWERS: list[SendResult] = [
    Accepted(),
    Refused("twilio_21610"),
    NotSent("smtp_450"),
    NotSent("http_429", 2_000, concerns="rate"),
    DOWN,
    Unsure("timeout"),
]


def channel_of(clock: ManualClock, *names: str, rate: float = UNLIMITED) -> Channel:
    return Channel("sms", [Guarded(ScriptedProvider(name=name), clock(), rate=rate) for name in names], clock)


def fail(channel: Channel, name: str, times: int = FAILURES) -> None:
    for _ in range(times):
        channel.began(name, 1)
        channel.observe(name, DOWN)


def test_the_second_takes_over_while_the_first_is_down_and_gives_back() -> None:
    clock = ManualClock()
    channel = channel_of(clock, "one", "two")
    fail(channel, "one", FAILURES - 1)
    assert channel.provider().name == "one"
    fail(channel, "one", 1)
    assert channel.provider().name == "two"
    assert channel.free(32) == 32
    clock.now += FIRST_PAUSE_MS
    assert (channel.provider().name, channel.free(32)) == ("one", 1), "one message tries the first again"
    channel.began("one", 1)
    assert (channel.provider().name, channel.free(32)) == ("two", 32), "the others need not wait for it"
    channel.observe("one", Accepted())
    assert (channel.provider().name, channel.free(32)) == ("one", 32)


def test_nothing_is_claimed_while_all_are_down() -> None:
    clock = ManualClock()
    channel = channel_of(clock, "one", "two")
    fail(channel, "one")
    clock.now += 1
    fail(channel, "two")
    assert channel.free(32) == 0
    assert channel.next_free_at == START + FIRST_PAUSE_MS
    clock.now = channel.next_free_at
    assert channel.free(32) == 1


@pytest.mark.parametrize("answer", ANSWERS[:4])
def test_whoever_answers_is_not_down(answer: SendResult) -> None:
    """Not even with a refusal of each message."""
    channel = channel_of(ManualClock(), "one", "two")
    for _ in range(10 * FAILURES):
        channel.observe("one", answer)
    fail(channel, "one", FAILURES - 1)
    channel.observe("one", answer)
    fail(channel, "one", FAILURES - 1)
    assert channel.provider().name == "one"


@pytest.mark.parametrize("answer", [DOWN, Unsure("http_503")])
def test_failures_of_either_kind_open_the_breaker(answer: SendResult) -> None:
    channel = channel_of(ManualClock(), "one")
    for _ in range(FAILURES):
        channel.observe("one", answer)
    assert channel.free(1) == 0


@pytest.mark.parametrize(
    ("told", "pause"), [(None, THROTTLED_MS), (0, 0), (2_000, 2_000), (3_600_000, LONGEST_THROTTLE_MS)]
)
def test_too_many_holds_all_messages_to_that_provider(told: int | None, pause: int) -> None:
    clock = ManualClock()
    channel = channel_of(clock, "one", "two")
    channel.observe("one", NotSent("http_429", told, concerns="rate"))
    assert channel.next_free_at == START + pause
    clock.now += pause
    assert channel.free(32) == 32
    assert channel.provider().name == "one", "throttled is not down"


def test_a_wait_of_one_message_holds_no_other() -> None:
    channel = channel_of(ManualClock(), "one")
    channel.observe("one", NotSent("smtp_450", 30_000))
    assert channel.free(32) == 32


def test_channels_that_share_a_provider_share_its_rate_and_its_breaker() -> None:
    clock = ManualClock()
    shared = Guarded(ScriptedProvider(name="bulkgate"), clock(), rate=20)
    sms, viber = Channel("sms", [shared], clock), Channel("viber", [shared], clock)
    assert sms.free(32) == 2
    sms.began("bulkgate", 2)
    assert viber.free(32) == 0
    clock.now = viber.next_free_at
    assert viber.free(32) == 1
    fail(viber, "bulkgate")
    clock.now += 1_000
    assert sms.free(32) == 0


def test_without_a_breaker_nobodys_failure_stops_the_others() -> None:
    clock = ManualClock()
    channel = Channel("webhook", [Guarded(ScriptedProvider(), clock(), breaks=False)], clock)
    for _ in range(100):
        channel.observe("scripted", Unsure("timeout"))
    assert channel.free(7) == 7


@pytest.mark.parametrize("names", [(), ("twilio", "twilio")])
def test_providers_that_cannot_be_told_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different names"):
        channel_of(ManualClock(), *names)


async def test_all_providers_forget() -> None:
    channel = channel_of(ManualClock(), "one", "two")
    await channel.forget(["m1"])
    for provider in channel.providers:
        assert isinstance(provider, ScriptedProvider)
        assert provider.forgotten == {"m1"}


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 40), st.sampled_from(ANSWERS)), max_size=80))
def test_over_any_history_what_may_be_claimed_is_within_bounds_and_work_goes_on(
    history: list[tuple[int, int, SendResult]],
) -> None:
    clock = ManualClock()
    channel = channel_of(clock, "one", "two", rate=50)
    for later, limit, answer in history:
        clock.now += later
        free = channel.free(limit)
        assert 0 <= free <= min(limit, 5)
        if free:
            name = channel.provider().name
            channel.began(name, free)
            for _ in range(free):
                channel.observe(name, answer)
    at = channel.next_free_at
    assert clock.now <= at <= clock.now + LONGEST_THROTTLE_MS
    clock.now = at
    assert channel.free(40) >= 1
