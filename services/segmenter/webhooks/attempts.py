"""What a receiver's answer means: delivered, again later, or given up; and when a subscription is disabled."""

from dataclasses import dataclass, replace
from typing import Literal

from headrace.contracts.instant import Millis
from headrace.runtime.webhooks.reply import Reply, retry_after_ms

Outcome = Literal["delivered", "retried", "failed"]
DisabledReason = Literal["gone", "failing", "exhausted"]

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DELAYS_MS = (
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""The pause after each failed attempt, as Standard Webhooks suggests; after the tenth attempt there is none."""
JITTER = 0.1
"""A pause is longer by up to this share, so that what failed together does not come back together."""
EXHAUSTED_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery; `due_at` for one that is tried again."""

    outcome: Outcome
    due_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a subscription's receiver does: since when every attempt fails, how many deliveries in a row were given
    up, and why it is disabled."""

    failing_since: Millis | None = None
    exhausted: int = 0
    disabled_reason: DisabledReason | None = None


def judge(reply: Reply, attempt: int, now: Millis, jitter: float) -> Verdict:
    """`attempt` counts from 1; `jitter` is a number from 0 to 1, by chance."""
    if reply.delivered:
        return Verdict("delivered")
    if reply.gone or attempt > len(DELAYS_MS):
        return Verdict("failed")
    pause = int(DELAYS_MS[attempt - 1] * (1 + JITTER * jitter))
    return Verdict("retried", now + max(pause, retry_after_ms(reply.retry_after, now)))


def after_failure(health: Health, reply: Reply, verdict: Verdict, now: Millis, *, disable_after_ms: int) -> Health:
    """A subscription's health after an attempt that delivered nothing. One that is disabled stays as it is."""
    if health.disabled_reason is not None:
        return health
    since = now if health.failing_since is None else health.failing_since
    exhausted = health.exhausted + (verdict.outcome == "failed")
    failing = Health(since, exhausted)
    if reply.gone:
        return replace(failing, disabled_reason="gone")
    if now - since >= disable_after_ms:
        return replace(failing, disabled_reason="failing")
    return replace(failing, disabled_reason="exhausted") if exhausted >= EXHAUSTED_LIMIT else failing
