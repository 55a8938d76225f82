"""What every part of the messenger's database needs: positions of inputs, the store's identity, its keys."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg.pool

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from services.messenger.tokens import Keyring, SigningKey

# quoted: asyncpg's classes are generic in its stubs only
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class Fenced(HeadraceError):
    """Another process has committed on this input meanwhile: reload the position and go on from there."""


class WrongStore(HeadraceError):
    """The database belongs to a deployment with other settings."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far an input partition is applied: the next offset, and the (epoch, seq) of the last record."""

    next_offset: int = 0
    epoch: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Epoch of this store's outputs, and the keys that sign its links."""

    epoch: int
    keyring: Keyring


async def open_store(pool: Pool, partitions: int, now: Millis) -> StoreIdentity:
    """The store's identity as of `now`, made at the first start. Raises WrongStore for another partition count."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO store (epoch, partitions) VALUES (1, $1) ON CONFLICT DO NOTHING", partitions
        )
        await connection.execute(
            "INSERT INTO signing_key (id, secret) VALUES (1, $1) ON CONFLICT DO NOTHING", secrets.token_bytes(32)
        )
        await connection.execute(
            """INSERT INTO outcome_counter SELECT q, 0 FROM generate_series(0, $1::int - 1) AS q
               ON CONFLICT DO NOTHING""",
            partitions,
        )
        for statement in _DIRECT:
            await connection.execute(statement)
        row = await connection.fetchrow("SELECT epoch, partitions FROM store")
        keys = await read_keys(connection)
    if row is None or row["partitions"] != partitions:
        raise WrongStore("HEADRACE_PARTITIONS differs from the one this database was made with; set it back")
    return StoreIdentity(row["epoch"], Keyring.of(keys, now))


async def read_keys(connection: "Connection | Pool") -> list[SigningKey]:
    """All keys that sign links, the oldest first."""
    rows = await connection.fetch("SELECT id, secret, created_at, retired_at FROM signing_key ORDER BY id")
    return [SigningKey(*row) for row in rows]


# What is sent by hand (an answer to a customer) stands in the ledger like everything else.
_DIRECT = (
    """INSERT INTO definition (kind, id, version, state, updated_at) VALUES ('campaign', 'direct', 1, 'live', 0)
       ON CONFLICT DO NOTHING""",
    """INSERT INTO definition_version (kind, id, version, body, created_at) VALUES ('campaign', 'direct', 1,
           '{"kind": "campaign", "id": "direct", "name": "Direct messages", "purpose": "transactional",
             "trigger": {"event": "$direct"}, "steps": [{"send": {"channels": ["sms"], "template": "direct"}}]}',
             0)
       ON CONFLICT DO NOTHING""",
)


class Positions:
    """The positions of the inputs. Each moves in the transaction that holds what came from the records."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def load(self, topic: str, partition: int) -> Position:
        """The stored position; made at the first call."""
        row = await self._pool.fetchrow(
            """INSERT INTO input_position VALUES ($1, $2, 0, 0, 0)
               ON CONFLICT (topic, partition) DO UPDATE SET topic = excluded.topic
               RETURNING next_offset, epoch, seq""",
            topic,
            partition,
        )
        return Position(*row) if row is not None else Position()

    @asynccontextmanager
    async def advance(
        self, topic: str, partition: int, expected: Position, following: Position
    ) -> AsyncIterator[Connection]:
        """A transaction that moves the position from `expected` to `following`, or raises Fenced before
        anything is written. The row stays locked until the commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                """SELECT next_offset, epoch, seq FROM input_position
                   WHERE topic = $1 AND partition = $2 FOR UPDATE""",
                topic,
                partition,
            )
            if row is None or Position(*row) != expected:
                raise Fenced(f"the position of {topic}/{partition} has moved")
            yield connection
            await connection.execute(
                """UPDATE input_position SET next_offset = $3, epoch = $4, seq = $5
                   WHERE topic = $1 AND partition = $2""",
                topic,
                partition,
                following.next_offset,
                following.epoch,
                following.seq,
            )

    async def save(self, topic: str, partition: int, expected: Position, following: Position) -> None:
        """Only move the position: one statement. Raises Fenced."""
        moved = await self._pool.fetchval(
            """UPDATE input_position SET next_offset = $3, epoch = $4, seq = $5
               WHERE topic = $1 AND partition = $2 AND (next_offset, epoch, seq) = ($6, $7, $8) RETURNING true""",
            *(topic, partition, following.next_offset, following.epoch, following.seq),
            *(expected.next_offset, expected.epoch, expected.seq),
        )
        if not moved:
            raise Fenced(f"the position of {topic}/{partition} has moved")
