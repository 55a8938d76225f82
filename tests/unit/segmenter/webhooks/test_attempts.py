"""What a reply means, when the next attempt is due, and when a subscription is disabled."""

import pytest

from headrace.runtime.webhooks.reply import Reply
from services.segmenter.webhooks.attempts import (
    DELAYS_MS,
    EXHAUSTED_LIMIT,
    Health,
    Verdict,
    after_failure,
    judge,
)

NOW = 1_790_000_000_000
HOUR = 3_600_000
DAYS_5 = 120 * HOUR
BAD = Reply(500, "http_500")
GONE = Reply(410, "http_410")
RETRIED, FAILED = Verdict("retried", NOW), Verdict("failed")


def failed(health: Health, reply: Reply = BAD, verdict: Verdict = RETRIED, now: int = NOW) -> Health:
    return after_failure(health, reply, verdict, now, disable_after_ms=DAYS_5)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert judge(Reply(status), 10, NOW, 0.5) == Verdict("delivered")


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 304, 308, 400, 404, 409, 429, 500, 502, 504])
def test_all_else_is_tried_again(status: int | None) -> None:
    assert judge(Reply(status, "x"), 1, NOW, 0.0) == Verdict("retried", NOW + 5_000)


def test_the_pauses_are_those_of_the_standard() -> None:
    seconds = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert [pause // 1000 for pause in DELAYS_MS] == seconds
    for attempt, pause in enumerate(seconds, 1):
        assert judge(BAD, attempt, NOW, 0.0).due_at == NOW + pause * 1000
        assert judge(BAD, attempt, NOW, 1.0).due_at == NOW + pause * 1100
    assert judge(BAD, 10, NOW, 0.0) == FAILED
    assert judge(BAD, 11, NOW, 0.0) == FAILED


def test_gone_is_never_tried_again() -> None:
    assert judge(GONE, 1, NOW, 0.0) == FAILED


def test_retry_after_lengthens_a_pause_and_never_shortens_it() -> None:
    asked = Reply(429, "http_429", retry_after="120")
    assert judge(asked, 1, NOW, 0.0).due_at == NOW + 120_000
    assert judge(asked, 2, NOW, 0.0).due_at == NOW + 300_000


def test_it_is_failing_since_the_first_failure() -> None:
    health = failed(Health())
    assert health == Health(NOW)
    assert failed(health, now=NOW + HOUR) == Health(NOW)


def test_five_days_of_nothing_but_failures_disable() -> None:
    health = Health(failing_since=NOW - DAYS_5 + 1)
    assert failed(health).disabled_reason is None
    assert failed(health, now=NOW + 1).disabled_reason == "failing"


def test_a_hundred_deliveries_given_up_in_a_row_disable() -> None:
    health = Health(NOW, exhausted=EXHAUSTED_LIMIT - 2)
    health = failed(health, verdict=FAILED)
    assert health == Health(NOW, EXHAUSTED_LIMIT - 1)
    assert failed(health) == health
    assert failed(health, verdict=FAILED) == Health(NOW, EXHAUSTED_LIMIT, "exhausted")


def test_gone_disables_at_once() -> None:
    assert failed(Health(), GONE, FAILED).disabled_reason == "gone"


def test_what_is_disabled_stays_as_it_is() -> None:
    disabled = Health(NOW - HOUR, 3, "gone")
    assert failed(disabled, verdict=FAILED) == disabled
