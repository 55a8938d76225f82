"""One transaction per batch: fence, deduplicate, resolve, write, number (DESIGN §4.1, §4.2).

Locks are taken in one order everywhere: input position, message ids, new identifiers, profiles, counters, each
ascending. The number of statements does not depend on the size of the batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from headrace.runtime.failpoints import failpoint
from headrace.runtime.partitions import PartitionHalted
from services.profiles import people_sql
from services.profiles.answered_events import with_answers
from services.profiles.arrays import number_array, text_array
from services.profiles.consent_records import write_consents
from services.profiles.decisions import decisions, write_decisions
from services.profiles.fold import Arrival, Draft, InputClock, fold, in_need, locate
from services.profiles.identifiers_sql import Names
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.intake import Incoming
from services.profiles.sequence import assign, partitions_of
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.suppression import Suppressor
from services.profiles.suppression_sql import leave_out
from services.profiles.suspicion import suspicions
from services.profiles.suspicion_sql import quarantine

MAX_AHEAD_MS = 10_000
"""A log clock further ahead of Postgres' than this would fire timers early: stop instead."""

_POSITION = """
    SELECT next_offset, time, suppressing, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
    FROM input WHERE topic = $1 AND q = $2 FOR UPDATE
"""
_CLAIM_MESSAGES = """
    INSERT INTO seen (source, message_id, body_hash)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[])
        AS new (source, message_id, body_hash)
    ORDER BY source, message_id
    ON CONFLICT DO NOTHING RETURNING source, message_id
"""
_SEEN_HASHES = """
    SELECT source, message_id, body_hash FROM seen
    WHERE (source, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_OTHERS_LOW = """
    SELECT coalesce(min(time), 9223372036854775807) FROM input WHERE NOT (topic = $1 AND q = $2)
"""
_MOVE = "UPDATE input SET next_offset = $3, time = $4 WHERE topic = $1 AND q = $2"


class Fenced(HeadraceError):
    """Another worker committed from this position: read again from the store's."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one input partition. `times` has every record's log time, the unreadable ones'
    included; `incoming` what could be read, ascending, by index into `times`."""

    topic: str
    q: int
    first_offset: int
    times: Sequence[Millis]
    incoming: Sequence[tuple[int, Incoming]]

    @property
    def next_offset(self) -> int:
        return self.first_offset + len(self.times)

    def split(self, cut: int) -> tuple["Batch", "Batch"]:
        """The first `cut` records, and the rest."""
        first = [(index, incoming) for index, incoming in self.incoming if index < cut]
        second = [(index - cut, incoming) for index, incoming in self.incoming if index >= cut]
        return (
            Batch(self.topic, self.q, self.first_offset, self.times[:cut], first),
            Batch(self.topic, self.q, self.first_offset + len(self.times[:cut]), self.times[cut:], second),
        )

    def skipping_all(self) -> "Batch":
        """The same offsets with nothing to apply: what is left after everything went to the dead letters."""
        return Batch(self.topic, self.q, self.first_offset, self.times, ())


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. `touched`: output partitions with new rows. `conflicts`: duplicates with another
    body. `quarantined`: how many identifiers no longer say who somebody is. `suppressed`: records left out, since
    they name only people of whom nothing is collected."""

    touched: Sequence[int]
    rows: int
    duplicates: int
    conflicts: int
    merges: int
    time: Millis
    quarantined: int = 0
    suppressed: int = 0


async def commit_batch(
    pool: asyncpg.Pool,
    batch: Batch,
    partitions: int,
    rules: IdentityRules = DEFAULT_RULES,
    suppressor: Suppressor | None = None,
) -> Committed:
    """Apply `batch` and everything that follows from it, or nothing. Never cancel it half-way.

    Raises Fenced, Overtaken, PartitionHalted or asyncpg's errors.
    """
    async with pool.acquire() as connection, connection.transaction():
        clocks, suppressing = await _clocks(connection, batch)
        claimed, conflicts = await _claim_messages(connection, batch)
        fresh = claimed
        if suppressing and suppressor is not None and claimed:
            fresh = await leave_out(connection, suppressor, claimed)
        fresh = await with_answers(connection, fresh, rules)
        incoming = [one for _, one in fresh]
        names = Names(incoming)
        people = await people_sql.lock_people(connection, incoming, names, rules)
        located = locate([Arrival(one, clocks[index]) for index, one in fresh], people)
        await people_sql.load_documents(connection, in_need(located))
        drafts = fold(located)
        await people_sql.write_people(connection, people, names)
        quarantined = await quarantine(connection, suspicions(located, rules), rules)
        await write_decisions(connection, [*decisions(located), *quarantined])
        touched = await _write_drafts(connection, batch, drafts, partitions)
        time = clocks[-1].time
        await connection.execute(_MOVE, batch.topic, batch.q, batch.next_offset, time)
        failpoint("before_commit")
    failpoint("after_commit")
    return Committed(
        touched=touched,
        rows=len(drafts) + len(people.merged),
        duplicates=len(batch.incoming) - len(claimed),
        conflicts=conflicts,
        merges=len(people.merged),
        time=time,
        quarantined=len(quarantined),
        suppressed=len(claimed) - len(fresh),
    )


async def _clocks(connection: Connection, batch: Batch) -> tuple[list[InputClock], bool]:
    """Fence the batch, and tell the input's clock at each of its records; and whether anybody is suppressed."""
    position = await connection.fetchrow(_POSITION, batch.topic, batch.q)
    if position is None or position["next_offset"] != batch.first_offset:
        raise Fenced(f"{batch.topic} {batch.q}: expected offset {batch.first_offset}, the store has {position}")
    if max(batch.times) > position["now"] + MAX_AHEAD_MS:
        raise PartitionHalted(
            f"{batch.topic} {batch.q}: a record is more than {MAX_AHEAD_MS // 1000} s ahead of Postgres' clock; "
            "set the clocks of the log and of Postgres"
        )
    clocks, processed = [], position["time"]
    for time in batch.times:
        clocks.append(InputClock(time=max(processed, time), processed=processed))
        processed = clocks[-1].time
    return clocks, position["suppressing"]


async def _claim_messages(connection: Connection, batch: Batch) -> tuple[list[tuple[int, Incoming]], int]:
    """The records whose (source, messageId) is new, first ones first, and how many of the others differ from
    what was kept."""
    first: dict[tuple[str, str], tuple[int, Incoming]] = {}
    for index, incoming in batch.incoming:
        first.setdefault(incoming.key, (index, incoming))
    if not first:
        return [], 0
    sources, message_ids = zip(*first, strict=True)
    hashes = number_array([incoming.body_hash for _, incoming in first.values()])
    rows = await connection.fetch(_CLAIM_MESSAGES, text_array(sources), text_array(message_ids), hashes)
    if len(rows) == len(batch.incoming):
        return list(batch.incoming), 0
    claimed = {tuple(row) for row in rows}
    fresh = [arrival for key, arrival in first.items() if key in claimed]
    dropped = [one for index, one in batch.incoming if one.key not in claimed or first[one.key][0] != index]
    return fresh, await _count_conflicts(connection, dropped)


async def _count_conflicts(connection: Connection, dropped: Iterable[Incoming]) -> int:
    known = list(dropped)
    sources, message_ids = zip(*(incoming.key for incoming in known), strict=True)
    rows = await connection.fetch(_SEEN_HASHES, sources, message_ids)
    kept = {(row["source"], row["message_id"]): row["body_hash"] for row in rows}
    return sum(kept.get(incoming.key) != incoming.body_hash for incoming in known)


async def _write_drafts(
    connection: Connection, batch: Batch, drafts: Sequence[Draft], partitions: int
) -> Sequence[int]:
    touched = partitions_of(drafts, partitions)
    if not touched:
        return ()
    counters = await lock_counters(connection, touched)
    others_low = await connection.fetchval(_OTHERS_LOW, batch.topic, batch.q)
    rows = assign(drafts, counters, others_low=others_low, partitions=partitions)
    await write_rows(connection, rows, counters)
    await write_consents(connection, drafts, rows)
    return touched
