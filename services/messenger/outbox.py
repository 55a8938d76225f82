"""The messenger's outbox: outcomes of messages, numbered densely per partition, published by its owner."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.instant import Millis
from headrace.contracts.message import MessageOutcome
from headrace.contracts.topics import partition_of
from headrace.log.port import NewRecord
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.publisher import OutboxRecord, Published
from services.messenger.store import Connection, Pool

SOURCE = "messenger"
_UPDATE = "update"
_LAST = "SELECT partition, last_seq FROM outcome_counter"
_MARK = """
    WITH marked AS (
        INSERT INTO outcome_published AS p
        SELECT partition, $2::int, $3::bigint, $4, $5::bigint FROM outcome_counter
        WHERE partition = $1 AND last_seq >= $3
        ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,
            position = excluded.position, next_offset = excluded.next_offset
        WHERE (p.epoch, p.seq, p.next_offset) < (excluded.epoch, excluded.seq, excluded.next_offset))
    SELECT last_seq FROM outcome_counter WHERE partition = $1
"""
# locked in one order, whatever order the join takes
_NUMBER = """
    WITH locked AS MATERIALIZED (
        SELECT partition FROM outcome_counter WHERE partition = ANY($1::int[]) ORDER BY partition FOR UPDATE)
    UPDATE outcome_counter c SET last_seq = c.last_seq + n.count
    FROM locked JOIN unnest($1::int[], $2::int[]) AS n (partition, count) USING (partition)
    WHERE c.partition = locked.partition
    RETURNING c.partition, c.last_seq
"""
_INSERT = """
    INSERT INTO outcome (partition, seq, id, profile_id, outcome, payload, traceparent, created_at)
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::bigint[])
"""


@dataclass(frozen=True, slots=True)
class NewOutcome:
    """An outcome to publish, and the trace it belongs to."""

    outcome: MessageOutcome
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class NewUpdate:
    """What the profile service is to learn about a customer, and the trace it belongs to."""

    update: CustomerUpdate
    traceparent: str | None = None


class OutcomeOutbox:
    """Keeps `headrace.runtime.publisher.Outbox` for the topic of outcomes."""

    def __init__(self, pool: Pool, *, partitions: int, epoch: int) -> None:
        self._pool = pool
        self._partitions = partitions
        self._epoch = epoch

    async def append(
        self, connection: Connection, outcomes: Sequence[NewOutcome | NewUpdate], now: Millis
    ) -> None:
        """Number and store outcomes and updates; one that is there already (an update, by its `message_id`) is
        left out. Call it as late in the transaction as possible: the counters of the
        partitions concerned stay locked until its end. They are taken in ascending order."""
        outcomes = await _unknown(connection, outcomes)
        if not outcomes:
            return
        by_partition: dict[int, list[NewOutcome | NewUpdate]] = {}
        for new in outcomes:
            by_partition.setdefault(partition_of(_record(new).profile_id, self._partitions), []).append(new)
        counts = [len(group) for group in by_partition.values()]
        rows = []
        for partition, last in await connection.fetch(_NUMBER, list(by_partition), counts):
            group = by_partition[partition]
            rows += [_row(partition, seq, new, now) for seq, new in enumerate(group, last - len(group) + 1)]
        await connection.execute(_INSERT, *zip(*rows, strict=True))

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        rows = await self._pool.fetch(
            """SELECT seq, id, profile_id, outcome, payload, traceparent FROM outcome
               WHERE partition = $1 AND seq > $2 ORDER BY seq LIMIT $3""",
            *(partition, after, limit),
        )
        return [
            OutboxRecord(
                row["seq"],
                str(row["seq"]),
                NewRecord(
                    row["profile_id"].encode(),
                    row["payload"].encode(),
                    cloud_event(
                        kind="customer.update.v1" if row["outcome"] == _UPDATE else f"message.{row['outcome']}.v1",
                        event_id=row["id"],
                        source=SOURCE,
                        subject=row["profile_id"],
                        traceparent=row["traceparent"],
                    )
                    + store_output(source=SOURCE, epoch=self._epoch, seq=row["seq"], position=str(row["seq"])),
                ),
            )
            for row in rows
        ]

    async def last(self) -> dict[int, int]:
        """By partition, the last number given out."""
        return {row["partition"]: row["last_seq"] for row in await self._pool.fetch(_LAST)}

    async def published(self, partition: int) -> Published:
        row = await self._pool.fetchrow(
            "SELECT seq, position, next_offset FROM outcome_published WHERE partition = $1 AND epoch = $2",
            partition,
            self._epoch,
        )
        return Published(self._epoch, *row) if row is not None else Published(self._epoch, 0, "", 0)

    async def mark(self, partition: int, published: Published) -> None:
        """Raises PartitionHalted when the log holds numbers that this database never gave out."""
        last = await self._pool.fetchval(
            _MARK,
            *(partition, published.epoch, published.seq, published.position, published.next_offset),
        )
        if published.seq > last:
            raise PartitionHalted(
                f"the log holds outcome {published.seq} of partition {partition}, Postgres gave out {last}: "
                "it was restored from a backup. Stop the services and run `headrace restored`"
            )

    async def trim(self, before: Millis) -> None:
        """Forget outcomes that are published and older than `before`."""
        await self._pool.execute(
            """DELETE FROM outcome o USING outcome_published p
               WHERE o.partition = p.partition AND o.seq <= p.seq AND o.created_at < $1""",
            before,
        )


async def _unknown(
    connection: Connection, outcomes: Sequence[NewOutcome | NewUpdate]
) -> Sequence[NewOutcome | NewUpdate]:
    """Without updates that are stored already, or stand here twice: a step may tell the same once more."""
    ids = [new.update.message_id for new in outcomes if isinstance(new, NewUpdate)]
    if not ids:
        return outcomes
    rows = await connection.fetch("SELECT id FROM outcome WHERE id = ANY($1::text[])", ids)
    seen = {row["id"] for row in rows}
    kept: list[NewOutcome | NewUpdate] = []
    for new in outcomes:
        if isinstance(new, NewUpdate):
            if new.update.message_id in seen:
                continue
            seen.add(new.update.message_id)
        kept.append(new)
    return kept


def _record(new: NewOutcome | NewUpdate) -> MessageOutcome | CustomerUpdate:
    return new.update if isinstance(new, NewUpdate) else new.outcome


def _row(partition: int, seq: int, new: NewOutcome | NewUpdate, now: Millis) -> tuple[object, ...]:
    record = _record(new)
    kind = record.outcome if isinstance(record, MessageOutcome) else _UPDATE
    payload = msgspec.json.encode(record).decode()
    return (*(partition, seq, record.message_id, record.profile_id, kind), *(payload, new.traceparent, now))
