"""Webhook subscriptions in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import asyncpg

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from services.segmenter.webhooks.subscription import WantedSubscription

# quoted: asyncpg's classes are generic in its stubs only
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

OLD_SECRET_MS = 24 * 3_600_000
"""How long the secret before a rotation signs too."""

_COLUMNS = """
    id, url, segments, actions, secret, CASE WHEN old_secret_ends > $1 THEN old_secret END AS old_secret,
    CASE WHEN old_secret_ends > $1 THEN old_secret_ends END AS old_secret_ends,
    enabled, disabled_reason, failing_since, created_at, updated_at
"""
_GET = f"SELECT {_COLUMNS} FROM subscription WHERE id = $2"  # noqa: S608
_PAGE = f"SELECT {_COLUMNS} FROM subscription WHERE id > $2 ORDER BY id LIMIT $3"  # noqa: S608
_PUT = """
    INSERT INTO subscription AS s (id, url, segments, actions, secret, enabled, created_at, updated_at)
    VALUES ($1, $2, $3, $4, coalesce($5, $6), $7, $8, $8)
    ON CONFLICT (id) DO UPDATE SET
        url = excluded.url, segments = excluded.segments, actions = excluded.actions, enabled = excluded.enabled,
        secret = coalesce($5, s.secret),
        old_secret = CASE WHEN $5 <> s.secret THEN s.secret ELSE s.old_secret END,
        old_secret_ends = CASE WHEN $5 <> s.secret THEN $9 ELSE s.old_secret_ends END,
        disabled_reason = CASE WHEN s.url = excluded.url THEN s.disabled_reason END,
        failing_since = CASE WHEN s.url = excluded.url THEN s.failing_since END,
        exhausted = CASE WHEN s.url = excluded.url THEN s.exhausted ELSE 0 END,
        updated_at = excluded.updated_at
    RETURNING xmax = 0 AS created
"""
_ROTATE = """
    UPDATE subscription SET secret = $2, old_secret = secret, old_secret_ends = $3, updated_at = $4
    WHERE id = $1 RETURNING id
"""
_ENABLE = """
    UPDATE subscription
    SET enabled = true, disabled_reason = NULL, failing_since = NULL, exhausted = 0, updated_at = $2
    WHERE id = $1 RETURNING id
"""
# those in flight keep their claims
_RESUME = """
    UPDATE delivery SET due_at = $2
    WHERE subscription_id = $1 AND status = 'pending' AND NOT claimed AND due_at > $2
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A stored subscription. `disabled_reason` is ours (DisabledReason), `enabled` the operator's; `old_secret`
    signs beside `secret` until `old_secret_ends`."""

    id: str
    url: str
    segments: Sequence[str] | None
    actions: Sequence[str]
    secret: str
    old_secret: str | None
    old_secret_ends: Millis | None
    enabled: bool
    disabled_reason: str | None
    failing_since: Millis | None
    created_at: Millis
    updated_at: Millis

    @property
    def status(self) -> Literal["enabled", "disabled"]:
        return "enabled" if self.enabled and self.disabled_reason is None else "disabled"

    @property
    def secrets(self) -> Sequence[str]:
        """Those that sign, the newest first."""
        return (self.secret,) if self.old_secret is None else (self.secret, self.old_secret)


class Subscriptions:
    """All of a subscription but its deliveries. `now` is the clock's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, wanted: WantedSubscription, fresh_secret: str, now: Millis) -> bool:
        """Create or replace; True when it is new (then `fresh_secret` is its secret, unless one is wanted). What
        we disabled stays so unless its URL changes. Another secret than before is a rotation."""
        created = await self._pool.fetchval(
            _PUT,
            wanted.id,
            wanted.url,
            wanted.segments,
            wanted.actions,
            wanted.secret,
            fresh_secret,
            wanted.enabled,
            now,
            now + OLD_SECRET_MS,
        )
        return bool(created)

    async def get(self, subscription_id: str, now: Millis) -> Subscription:
        """Raises ApiError 404."""
        _require_text(subscription_id)
        row = await self._pool.fetchrow(_GET, now, subscription_id)
        if row is None:
            raise unknown_subscription(subscription_id)
        return Subscription(*row)

    async def page(self, after: str, limit: int, now: Millis) -> Sequence[Subscription]:
        """By id."""
        if "\0" in after:  # Postgres has no such text
            raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
        return [Subscription(*row) for row in await self._pool.fetch(_PAGE, now, after, limit)]

    async def delete(self, subscription_id: str) -> None:
        """With its deliveries. Raises ApiError 404."""
        _require_text(subscription_id)
        if not await self._pool.fetchval("DELETE FROM subscription WHERE id = $1 RETURNING true", subscription_id):
            raise unknown_subscription(subscription_id)

    async def rotate(self, subscription_id: str, secret: str, now: Millis) -> Millis:
        """Sign with `secret`, for a day with the one before too; returns when that ends. Raises ApiError 404."""
        _require_text(subscription_id)
        ends = now + OLD_SECRET_MS
        if not await self._pool.fetchval(_ROTATE, subscription_id, secret, ends, now):
            raise unknown_subscription(subscription_id)
        return ends

    async def enable(self, subscription_id: str, now: Millis) -> None:
        """Deliver again, at once what waits. Raises ApiError 404."""
        _require_text(subscription_id)
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_ENABLE, subscription_id, now):
                raise unknown_subscription(subscription_id)
            await connection.execute(_RESUME, subscription_id, now)


def unknown_subscription(subscription_id: str) -> ApiError:
    return ApiError(
        404, "unknown_subscription", f"There is no subscription {subscription_id!r}; see GET /v1/subscriptions."
    )


def _require_text(subscription_id: str) -> None:
    if "\0" in subscription_id:
        raise unknown_subscription(subscription_id)
