"""Redacting rows of the timeline, and finding who waits for it, in Postgres."""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from headrace.contracts.instant import Millis
from services.profiles.history_sql import ROWS_OF
from services.profiles.identity import Identifier
from services.profiles.redacted import redacted_event, redacted_payload
from services.profiles.store import Connection

CHUNK = 1_000

# One at a time in a deployment: a log takes one who erases at a time.
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('headrace.profiles.redaction', 0))"
_WAITING = """
    SELECT profile_id, identifiers FROM erasure
    WHERE redacted_at IS NULL AND at <= floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1
        AND profile_id > $2
    ORDER BY profile_id LIMIT 1 FOR UPDATE
"""
# Beside their own rows, those of merges that brought them to somebody from whom they were taken again: these stay
# with whom they came to, and say what they brought.
_OF_PEOPLE = f"""
    {ROWS_OF.format(columns="timeline.q, timeline.seq", family="$1::text[]")} UNION
    SELECT merge.q, merge.seq FROM timeline AS gone
    JOIN timeline AS merge ON merge.profile_id = gone.payload::jsonb ->> 'into' AND merge.kind = 'merge'
        AND (merge.source, merge.message_id) = (gone.source, gone.message_id)
        AND strpos(merge.payload, '"loser":"' || gone.profile_id || '"') > 0
    WHERE gone.profile_id = ANY($1::text[]) AND gone.kind = 'tombstone'
"""  # noqa: S608
_NEEDED = f"""
    SELECT rows.q, max(rows.seq) AS seq, min(counter.epoch) AS epoch
    FROM ({_OF_PEOPLE}) AS rows JOIN counter USING (q) GROUP BY rows.q
"""  # noqa: S608
_ROWS = f"""
    SELECT rows.q, rows.seq, kind, profile_id, source, message_id, ts, payload
    FROM ({_OF_PEOPLE}) AS rows JOIN timeline USING (q, seq)
    WHERE (rows.q, rows.seq) > ($2, $3) ORDER BY rows.q, rows.seq LIMIT {CHUNK}
"""  # noqa: S608
_REDACT = """
    UPDATE timeline SET payload = new.payload, event = NULL, traceparent = NULL, identifiers = NULL, stated = NULL
    FROM unnest($1::int[], $2::bigint[], $3::text[]) AS new (q, seq, payload)
    WHERE (timeline.q, timeline.seq) = (new.q, new.seq)
"""
_MARK = """
    INSERT INTO redacted (q, epoch, seq, counted_seq, transitions, computed)
    SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    ON CONFLICT (q) DO UPDATE SET epoch = excluded.epoch, seq = greatest(redacted.seq, excluded.seq),
        counted_seq = greatest(redacted.counted_seq, excluded.counted_seq),
        transitions = greatest(redacted.transitions, excluded.transitions),
        computed = greatest(redacted.computed, excluded.computed)
"""
_DONE = """
    UPDATE erasure SET identifiers = '[]',
        redacted_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE profile_id = $1
"""


class Passed(msgspec.Struct, frozen=True):
    """How far a partition's reader is: the last row it has applied, and how many transitions and values of
    computed traits it has counted."""

    partition: int
    epoch: int
    seq: int
    transitions: int
    computed: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """An erased person whose rows are still as they were."""

    profile_id: str
    identifiers: tuple[Identifier, ...]


class Needed(msgspec.Struct, frozen=True):
    """The last row of some people in a partition."""

    epoch: int
    seq: int


async def alone(connection: Connection) -> bool:
    """Whether nobody else redacts until our transaction ends."""
    return bool(await connection.fetchval(_ALONE))


async def next_waiting(connection: Connection, horizon: Millis, after: str) -> Waiting | None:
    """The next person behind `after` who was erased longer than `horizon` ago."""
    row = await connection.fetchrow(_WAITING, horizon, after)
    if row is None:
        return None
    return Waiting(row["profile_id"], msgspec.json.decode(row["identifiers"], type=tuple[Identifier, ...]))


async def needed(connection: Connection, profile_ids: Sequence[str]) -> dict[int, Needed]:
    """How far the readers of each partition must be before these people's rows are redacted."""
    rows = await connection.fetch(_NEEDED, list(profile_ids))
    return {row["q"]: Needed(row["epoch"], row["seq"]) for row in rows}


async def redact_people(connection: Connection, profile_ids: Sequence[str]) -> int:
    """Take out of the timeline what these people said and did; how many rows that were."""
    place, done = (-1, -1), 0
    while rows := await connection.fetch(_ROWS, list(profile_ids), *place):
        place = (rows[-1]["q"], rows[-1]["seq"])
        done += len(rows)
        await write_redacted(connection, rows)
    return done


async def write_redacted(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    qs, seqs = [row["q"] for row in rows], [row["seq"] for row in rows]
    await connection.execute(_REDACT, qs, seqs, [_payload(row) for row in rows])


async def mark_redacted(connection: Connection, passed: Mapping[int, Passed], redacted: Mapping[int, int]) -> None:
    """`redacted`: by partition, the last row that was. A reader that stands before it rebuilds."""
    found = [(passed[q], seq) for q, seq in sorted(redacted.items())]
    await connection.execute(
        _MARK,
        [one.partition for one, _ in found],
        [one.epoch for one, _ in found],
        [seq for _, seq in found],
        [one.seq for one, _ in found],
        [one.transitions for one, _ in found],
        [one.computed for one, _ in found],
    )


async def done(connection: Connection, profile_id: str) -> None:
    """The person's rows are redacted, and nothing names the person any more."""
    await connection.execute(_DONE, profile_id)


def _payload(row: asyncpg.Record) -> str:
    if row["kind"] == "event":
        return redacted_event(row["profile_id"], row["source"], row["message_id"], row["ts"])
    return redacted_payload(row["kind"], row["payload"])
