"""Claiming due deliveries and settling them. A claim ends by itself, so that one whose process is gone is taken
again; the receiver then sees the same webhook-id twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.metrics import Metrics
from headrace.runtime.webhooks.reply import Reply
from headrace.runtime.webhooks.transport import Webhook
from services.segmenter.followed import Connection
from services.segmenter.webhooks.attempts import Health, Outcome, Verdict, after_failure, judge
from services.segmenter.webhooks.subscriptions import Pool

log = structlog.get_logger()

Querying: TypeAlias = "Connection | Pool"

LEASE_MS = 60_000
"""Longer than an attempt may take."""
PER_SUBSCRIPTION = 8
WHILE_FAILING = 2
"""How many a subscription may have in flight: a receiver that hangs must not take all the room there is."""

# The subscriptions in any order: none is always the first. Of a customer's changes the earliest alone: looked up
# for each candidate, since a join (NOT EXISTS) reads all that waits for each claim.
CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT picked.id
        FROM (SELECT s.id,
                  CASE WHEN s.failing_since IS NULL THEN $3::int ELSE $4::int END - coalesce(b.n, 0) AS room
              FROM subscription s LEFT JOIN unnest($5::text[], $6::int[]) AS b (id, n) ON b.id = s.id
              WHERE s.active ORDER BY random()) AS a
        CROSS JOIN LATERAL (
            SELECT d.id FROM delivery d
            WHERE d.subscription_id = a.id AND d.status = 'pending' AND d.due_at <= $1::bigint AND d.id = (
                SELECT e.id FROM delivery e
                WHERE e.subscription_id = d.subscription_id AND e.profile_id = d.profile_id
                    AND e.status = 'pending'
                ORDER BY e.id LIMIT 1)
            ORDER BY d.due_at, d.id LIMIT greatest(a.room, 0) FOR UPDATE SKIP LOCKED
        ) AS picked
        LIMIT $2
    )
    UPDATE delivery d SET claimed = true, claim = d.claim + 1, attempt = d.attempt + 1, due_at = $1 + $7::bigint,
        attempted_at = $1
    FROM due, subscription s
    WHERE d.id = due.id AND s.id = d.subscription_id
    RETURNING d.id, d.claim, d.attempt, d.subscription_id, d.profile_id, d.message_id, d.body, s.url, s.secret,
        CASE WHEN s.old_secret_ends > $1 THEN s.old_secret END AS old_secret
"""
_NEXT_DUE = """
    SELECT min(first.due_at) FROM subscription s CROSS JOIN LATERAL (
        SELECT d.due_at FROM delivery d WHERE d.subscription_id = s.id AND d.status = 'pending'
        ORDER BY d.due_at LIMIT 1
    ) AS first
    WHERE s.active
"""
_SETTLE = """
    UPDATE delivery SET status = $3, claimed = false, due_at = coalesce($4, due_at), settled_at = $5,
        response_status = $6, reason = $7, excerpt = $8
    WHERE id = $1 AND claim = $2 AND claimed
    RETURNING true
"""
_RECOVERED = """
    UPDATE subscription SET failing_since = NULL, exhausted = 0
    WHERE id = $1 AND (failing_since IS NOT NULL OR exhausted > 0)
"""
_HEALTH = "SELECT failing_since, exhausted, disabled_reason FROM subscription WHERE id = $1 FOR NO KEY UPDATE"
_WRITE_HEALTH = "UPDATE subscription SET failing_since = $2, exhausted = $3, disabled_reason = $4 WHERE id = $1"
# the customer's later changes wait as long, or they would be looked at in vain until then
_POSTPONE = """
    UPDATE delivery SET due_at = $4
    WHERE subscription_id = $1 AND profile_id = $2 AND id > $3 AND status = 'pending' AND NOT claimed
        AND due_at < $4
"""
_RELEASE = """
    UPDATE delivery SET due_at = $4
    WHERE subscription_id = $1 AND profile_id = $2 AND id > $3 AND status = 'pending' AND NOT claimed
        AND due_at > $4
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process alone sends until the claim ends; `number` tells it from an earlier claim."""

    id: int
    number: int
    attempt: int
    subscription_id: str
    profile_id: str
    webhook: Webhook


class Claims:
    """The deliveries as the sender uses them."""

    def __init__(self, pool: Pool, metrics: Metrics, *, disable_after_ms: Millis) -> None:
        self._pool = pool
        self._metrics = metrics
        self._disable_after_ms = disable_after_ms

    async def claim(self, limit: int, busy: Mapping[str, int], now: Millis) -> Sequence[Claim]:
        """Take up to `limit` due deliveries; `busy`: how many of each subscription this process is sending."""
        rows = await self._pool.fetch(
            CLAIM, now, limit, PER_SUBSCRIPTION, WHILE_FAILING, list(busy), list(busy.values()), LEASE_MS
        )
        return [
            Claim(
                row["id"],
                row["claim"],
                row["attempt"],
                row["subscription_id"],
                row["profile_id"],
                Webhook(
                    row["url"],
                    [secret for secret in (row["secret"], row["old_secret"]) if secret is not None],
                    row["message_id"],
                    row["body"],
                ),
            )
            for row in rows
        ]

    async def next_due(self) -> Millis | None:
        """When the next delivery is due, or a claim ends; None while nothing waits."""
        due: Millis | None = await self._pool.fetchval(_NEXT_DUE)
        return due

    async def settle(self, claim: Claim, reply: Reply, now: Millis, jitter: float) -> Outcome | None:
        """Write how the attempt ended; None when the claim had ended and was taken by another, which answers for
        the delivery then."""
        verdict = judge(reply, claim.attempt, now, jitter)
        settle = self._delivered if verdict.outcome == "delivered" else self._not_delivered
        if not await settle(claim, reply, verdict, now):
            self._metrics.fenced.labels("webhooks").inc()
            return None
        self._metrics.webhook_deliveries.labels(claim.subscription_id, verdict.outcome).inc()
        return verdict.outcome

    async def _delivered(self, claim: Claim, reply: Reply, verdict: Verdict, now: Millis) -> bool:
        if not await _write(self._pool, claim, reply, verdict, now):
            return False
        if claim.number > 1:  # what waited for it may have been postponed
            await self._pool.execute(_RELEASE, claim.subscription_id, claim.profile_id, claim.id, now)
        await self._pool.execute(_RECOVERED, claim.subscription_id)
        return True

    async def _not_delivered(self, claim: Claim, reply: Reply, verdict: Verdict, now: Millis) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_HEALTH, claim.subscription_id)
            if row is None or not await _write(connection, claim, reply, verdict, now):
                return False
            if verdict.due_at is not None:
                await connection.execute(
                    _POSTPONE, claim.subscription_id, claim.profile_id, claim.id, verdict.due_at
                )
            before = Health(*row)
            after = after_failure(before, reply, verdict, now, disable_after_ms=self._disable_after_ms)
            await connection.execute(
                _WRITE_HEALTH, claim.subscription_id, after.failing_since, after.exhausted, after.disabled_reason
            )
        if after.disabled_reason is not None and before.disabled_reason is None:
            self._metrics.webhooks_disabled.labels(after.disabled_reason).inc()
            log.error("webhook_disabled", subscription=claim.subscription_id, reason=after.disabled_reason)
        return True


async def _write(connection: Querying, claim: Claim, reply: Reply, verdict: Verdict, now: Millis) -> bool:
    again = verdict.outcome == "retried"
    written = await connection.fetchval(
        _SETTLE,
        claim.id,
        claim.number,
        "pending" if again else verdict.outcome,
        verdict.due_at,
        None if again else now,
        reply.status,
        reply.reason or None,
        reply.excerpt or None,
    )
    return bool(written)
