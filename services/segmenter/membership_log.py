"""Keeps the history of memberships: follows what is published, exactly once."""

from collections import Counter
from collections.abc import Sequence

from services.segmenter.followed import Connection, FollowedChange
from services.segmenter.intervals import Batch, Closing, Count, Interval, Key

_CLOSE = """
    UPDATE membership_interval AS m
    SET exited_at = CASE WHEN m.entry_id = c.entry_id THEN c.then_at ELSE c.at END,
        exited_reason = CASE WHEN m.entry_id = c.entry_id THEN c.then_reason ELSE c.reason END
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[])
        AS c (segment_id, profile_id, at, reason, entry_id, then_at, then_reason)
    WHERE m.segment_id = c.segment_id AND m.profile_id = c.profile_id AND m.exited_at IS NULL
    RETURNING m.segment_id, m.profile_id, m.entry_id IS NOT DISTINCT FROM c.entry_id AS again
"""
_KNOWN = """
    SELECT k.segment_id, k.profile_id FROM unnest($1::text[], $2::text[]) AS k (segment_id, profile_id)
    WHERE EXISTS (
        SELECT FROM membership_interval AS m
        WHERE m.profile_id = k.profile_id AND m.segment_id = k.segment_id
    )
"""
_ADD = """
    WITH counted AS (
        INSERT INTO membership_hour AS h (segment_id, hour, partition, reason, entered, exited)
        SELECT * FROM unnest($11::text[], $12::bigint[], $13::int[], $14::text[], $15::bigint[], $16::bigint[])
        ON CONFLICT (segment_id, hour, partition, reason)
        DO UPDATE SET entered = h.entered + excluded.entered, exited = h.exited + excluded.exited
    )
    INSERT INTO membership_interval (partition, segment_id, profile_id, version, entry_id, cause_message_id,
        entered_at, entered_reason, exited_at, exited_reason)
    SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[],
        $7::bigint[], $8::text[], $9::bigint[], $10::text[])
"""


class MembershipLog:
    """Keeps `followed.Handler`: intervals in `membership_interval`, counts in `membership_hour`."""

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        batch = Batch(changes[0].partition, changes)
        closed = await connection.fetch(_CLOSE, *_columns(Closing, batch.closings()))
        met = {(segment_id, profile_id): again for segment_id, profile_id, again in closed}
        added = batch.added(met, await _known(connection, batch.from_before(met)))
        counts = batch.counts(met, added)
        await connection.execute(_ADD, *_columns(Interval, added), *_hours(counts))

    def committed(self) -> None:
        """Nobody waits for it."""


async def _known(connection: Connection, keys: Sequence[Key]) -> set[Key]:
    """Which of these customers have an interval in their segment."""
    if not keys:
        return set()
    found = await connection.fetch(_KNOWN, [key[0] for key in keys], [key[1] for key in keys])
    return {(segment_id, profile_id) for segment_id, profile_id in found}


def _columns(
    kind: type[Closing] | type[Interval], rows: Sequence[Closing] | Sequence[Interval]
) -> list[list[object]]:
    """One array per field."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in kind._fields]


def _hours(counts: Counter[Count]) -> list[list[object]]:
    """Segment, hour, partition, reason, entered, exited: one array each."""
    keys = sorted({count[:4] for count in counts})
    columns: list[list[object]] = [list(column) for column in zip(*keys, strict=True)] or [[], [], [], []]
    entered, exited = ([counts[Count(*key, action)] for key in keys] for action in ("entered", "exited"))
    return [*columns, list(entered), list(exited)]
