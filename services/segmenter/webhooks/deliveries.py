"""The deliveries of webhooks in Postgres: made from published changes, listed, tried again by hand, forgotten."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from services.segmenter.change import redacted_change
from services.segmenter.followed import Connection, FollowedChange
from services.segmenter.webhooks.subscriptions import Pool

STATUSES = ("pending", "delivered", "failed")
KEEP_DELIVERED_MS = 7 * 86_400_000
KEEP_FAILED_MS = 30 * 86_400_000
_PRUNED_AT_ONCE = 5_000

_FIELDS = (
    "id, message_id, profile_id, segment_id, action, status, attempt, due_at, created_at, attempted_at,"
    " settled_at, response_status, reason, excerpt"
)
# locked: nobody deletes a subscription under the deliveries that are being made for it
_SUBSCRIBED = "SELECT id, segments, actions FROM subscription WHERE active ORDER BY id FOR KEY SHARE"
# Behind an earlier change of the customer that waits for its next attempt, a change waits as long.
_INSERT = """
    INSERT INTO delivery (subscription_id, message_id, profile_id, segment_id, action, body, due_at, created_at)
    SELECT n.subscription_id, n.message_id, n.profile_id, n.segment_id, n.action, n.body,
        coalesce((
            SELECT p.due_at FROM delivery p
            WHERE p.subscription_id = n.subscription_id AND p.profile_id = n.profile_id
                AND p.status = 'pending' AND p.attempt > 0 AND NOT p.claimed
            ORDER BY p.id LIMIT 1), $7::bigint), $7::bigint
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[]) WITH ORDINALITY
        AS n (subscription_id, message_id, profile_id, segment_id, action, body, number)
    ORDER BY n.number
    ON CONFLICT (subscription_id, message_id) DO NOTHING
"""
_RETRY = """
    UPDATE delivery SET status = 'pending', attempt = 0, due_at = $3, settled_at = NULL
    WHERE subscription_id = $1 AND id = $2 AND (NOT claimed OR due_at <= $3) RETURNING true
"""
_PRUNE = """
    DELETE FROM delivery WHERE id IN (
        SELECT id FROM delivery WHERE status = $1 AND settled_at < $2 LIMIT $3 FOR UPDATE SKIP LOCKED)
"""
# what waits for a subscription that is disabled is kept as long as what has failed
_EXPIRE = """
    DELETE FROM delivery WHERE id IN (
        SELECT d.id FROM subscription s JOIN delivery d ON d.subscription_id = s.id
        WHERE NOT s.active AND d.status = 'pending' AND d.created_at < $1
        LIMIT $2 FOR UPDATE OF d SKIP LOCKED)
"""


class DeliveryHandler:
    """Makes deliveries of the changes that the follower hands over, in its transaction."""

    def __init__(self, *, clock: Callable[[], Millis], on_pending: Callable[[], None]) -> None:
        self._clock = clock
        self._on_pending = on_pending
        self._subscribed = False

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        """A delivery for each change and subscription that wants it; one that is there already stays."""
        erased = {each.change.profile.id for each in changes if each.change.properties["reason"] == "erasure"}
        if erased:
            await redact_deliveries(connection, erased)
        rows = []
        subscribed = await connection.fetch(_SUBSCRIBED)
        self._subscribed = bool(subscribed)
        for each in changes if subscribed else ():
            change = each.change
            segment, action = change.properties["segment_id"], change.properties["action"]
            rows += [
                (row["id"], change.message_id, change.profile.id, segment, action, each.record.value)
                for row in subscribed
                if action in row["actions"] and (row["segments"] is None or segment in row["segments"])
            ]
        if rows:
            await connection.execute(_INSERT, *zip(*rows, strict=True), self._clock())

    def committed(self) -> None:
        """Wakes the sender if there may be something for it: partitions are followed side by side."""
        if self._subscribed:
            self._on_pending()


class Deliveries:
    """What an operator asks about deliveries, and what becomes of old ones."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def counts(self, subscription_id: str) -> dict[str, int]:
        """How many there are, by status."""
        rows = await self._pool.fetch(
            "SELECT status, count(*) AS n FROM delivery WHERE subscription_id = $1 GROUP BY 1", subscription_id
        )
        return dict.fromkeys(STATUSES, 0) | {row["status"]: row["n"] for row in rows}

    async def last(self, subscription_id: str) -> Mapping[str, Any] | None:
        """The one attempted last."""
        query = f"""SELECT {_FIELDS} FROM delivery WHERE subscription_id = $1 AND attempted_at IS NOT NULL
                    ORDER BY attempted_at DESC LIMIT 1"""  # noqa: S608
        row = await self._pool.fetchrow(query, subscription_id)
        return None if row is None else dict(row)

    async def page(
        self, subscription_id: str, status: str | None, before: int | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Newest first. Bodies are left out: they are personal."""
        query = f"""SELECT {_FIELDS} FROM delivery
                    WHERE subscription_id = $1 AND ($2::text IS NULL OR status = $2)
                        AND ($3::bigint IS NULL OR id < $3)
                    ORDER BY id DESC LIMIT $4"""  # noqa: S608
        return [dict(row) for row in await self._pool.fetch(query, subscription_id, status, before, limit)]

    async def retry(self, subscription_id: str, delivery_id: int, now: Millis) -> None:
        """Have it sent at once, all attempts before it. Raises ApiError 404, or 409 while it is being sent."""
        if await self._pool.fetchval(_RETRY, subscription_id, delivery_id, now):
            return
        found = await self._pool.fetchval(
            "SELECT true FROM delivery WHERE subscription_id = $1 AND id = $2", subscription_id, delivery_id
        )
        if found:
            raise ApiError(409, "in_flight", "It is being sent right now; look again in a minute.")
        raise ApiError(
            404, "unknown_delivery", f"There is no delivery {delivery_id}; see GET …/{subscription_id}/deliveries."
        )

    async def prune(self, now: Millis) -> None:
        """Forget what was delivered a week ago, and a month ago what was not."""
        for status, keep in (("delivered", KEEP_DELIVERED_MS), ("failed", KEEP_FAILED_MS)):
            await self._all(_PRUNE, status, now - keep, _PRUNED_AT_ONCE)
        await self._all(_EXPIRE, now - KEEP_FAILED_MS, _PRUNED_AT_ONCE)

    async def _all(self, statement: str, *arguments: object) -> None:
        while await self._pool.execute(statement, *arguments) == f"DELETE {_PRUNED_AT_ONCE}":
            pass


async def redact_deliveries(connection: Connection, profiles: set[str]) -> None:
    """Take an erased person out of the bodies still kept: who it was is not said any more, that it was is."""
    rows = await connection.fetch(
        "SELECT id, body FROM delivery WHERE profile_id = ANY($1) ORDER BY id FOR UPDATE", sorted(profiles)
    )
    bodies = [redacted_change(row["body"]) for row in rows]
    await connection.execute(
        """UPDATE delivery d SET body = r.body, excerpt = NULL
           FROM unnest($1::bigint[], $2::bytea[]) AS r (id, body) WHERE d.id = r.id""",
        [row["id"] for row in rows],
        bodies,
    )
