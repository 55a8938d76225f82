"""A database in which whatever can happen to customers happens: events, outcomes, merges, unmerges, erasures."""

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from headrace.contracts.event import Event, EventType
from headrace.contracts.instant import Millis, format_instant
from headrace.contracts.message import MessageOutcome
from headrace.log.port import Record
from headrace.runtime.migrations import migrate
from services.profiles.batch import Batch, commit_batch
from services.profiles.erasure import erase
from services.profiles.history_sql import family, past_events
from services.profiles.intake import Incoming, event_reader
from services.profiles.merging import merge
from services.profiles.outcomes import read_outcome
from services.profiles.past_event import PastEvent
from services.profiles.store import MIGRATIONS, SCHEMA, connect, initialise
from services.profiles.unmerging import NothingLeft, NotTheirs, take_apart, take_out, undo

PARTITIONS = 2
EVENTS, MESSAGES = "cdp.events.v1", "cdp.messages.v1"
T0 = 1_790_000_000_000
_TABLES = """
    SELECT string_agg(tablename, ', ') FROM pg_tables
    WHERE schemaname = current_schema() AND tablename NOT IN ('input', 'counter', 'alembic_version')
"""


class Town:
    """Applies operations; customers are told by their rank among all."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self.sent: dict[tuple[str, str], Incoming] = {}
        self.erased: set[tuple[int, int]] = set()
        """Rows of people who were erased."""
        self._read = event_reader("CZ")
        self._offsets = {EVENTS: 0, MESSAGES: 0}
        self._now = T0
        self._requests = 0

    async def do(self, operation: tuple[Any, ...]) -> None:
        kind, *arguments = operation
        self._now += 100
        await getattr(self, f"_{kind}")(*arguments)

    async def customers(self) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT id FROM profile WHERE merged_into IS NULL AND NOT erased ORDER BY first_seen, id"
        )
        return [row["id"] for row in rows]

    async def events(self, customer: str) -> list[PastEvent]:
        async with self.pool.acquire() as connection:
            return await past_events(connection, await family(connection, customer))

    async def _event(
        self, cards: list[str], user: str | None, says: dict[str, Any], late: int, zone: str | None
    ) -> None:
        external = [{"id": one, "type": "card", "collection": "users"} for one in cards[1:]]
        context: dict[str, Any] = {"externalIds": external} | ({"timezone": zone} if zone else {})
        kind: EventType = "identify" if "traits" in says else "track"
        event = Event(
            type=kind,
            message_id=f"m{self._offsets[EVENTS]}",
            source="shop",
            timestamp=format_instant(self._now - late * 30),
            received_at=format_instant(self._now),
            user_id=user,
            anonymous_id=cards[0],
            event=says.get("event", "Looked"),
            properties=msgspec.Raw(msgspec.json.encode(says.get("properties", {}))),
            traits=msgspec.Raw(msgspec.json.encode(says.get("traits", {}))),
            context=msgspec.Raw(msgspec.json.encode(context)),
            trusted=True,
        )
        await self._commit(self._read(self._record(EVENTS, event)), EVENTS)

    async def _outcome(self, who: int, unsubscribed: bool) -> None:
        """Of a message to somebody, under whatever id was live when it was sent."""
        known = await self.pool.fetch("SELECT id FROM profile WHERE NOT erased ORDER BY first_seen, id")
        if not known:
            return
        outcome = MessageOutcome(
            message_id=f"o{self._offsets[MESSAGES]}",
            id="s1",
            outcome="unsubscribed" if unsubscribed else "delivered",
            channel="sms",
            profile_id=known[who % len(known)]["id"],
            campaign_id="c",
            campaign_version=1,
            entry_id="e",
            step="0",
            at=self._now,
        )
        await self._commit(read_outcome(self._record(MESSAGES, outcome)), MESSAGES)

    def _record(self, topic: str, value: msgspec.Struct) -> Record:
        return Record(topic, 0, self._offsets[topic], self._now, b"k", msgspec.json.encode(value), ())

    async def _commit(self, incoming: Incoming, topic: str) -> None:
        self.sent[incoming.key] = incoming
        batch = Batch(topic, 0, self._offsets[topic], [self._now], [(0, incoming)])
        await commit_batch(self.pool, batch, PARTITIONS)
        self._offsets[topic] += 1

    async def _merge(self, one: int, other: int) -> None:
        if known := await self.customers():
            await merge(self.pool, known[one % len(known)], known[other % len(known)], PARTITIONS)

    async def _out(self, who: int, which: int) -> None:
        if not (known := await self.customers()):
            return
        profile = known[who % len(known)]
        async with self.pool.acquire() as connection:
            members = await family(connection, profile)
        owned = await self.pool.fetch(
            "SELECT type, value FROM identifier WHERE profile_id = ANY($1) ORDER BY type, value", members
        )
        found = owned[which % len(owned)]
        await self._taken(take_out(self.pool, profile, tuple(found), self._request(), PARTITIONS))

    async def _undo(self, which: int) -> None:
        rows = await self.pool.fetch(
            "SELECT n, coalesce(root, decision.profile_id) AS id FROM decision "
            "LEFT JOIN alias USING (profile_id) JOIN profile ON profile.id = coalesce(root, decision.profile_id) "
            "WHERE kind = 'merged' AND NOT erased ORDER BY n"
        )
        if rows:
            found = rows[which % len(rows)]
            await self._taken(undo(self.pool, found["id"], found["n"], self._request(), PARTITIONS))

    async def _shared(self, which: int) -> None:
        """Many share it: it is put into quarantine, and taken apart."""
        rows = await self.pool.fetch(
            "SELECT type, value FROM identifier WHERE type <> 'user_id' AND quarantined_at IS NULL "
            "ORDER BY type, value"
        )
        if rows:
            kind, value = rows[which % len(rows)]
            await self.pool.execute(
                "UPDATE identifier SET quarantined_at = $3, taken_apart = false WHERE (type, value) = ($1, $2)",
                kind,
                value,
                self._now,
            )
            await take_apart(self.pool, kind, value, PARTITIONS)
            assert await take_apart(self.pool, kind, value, PARTITIONS) == 0

    async def _erase(self, who: int) -> None:
        if known := await self.customers():
            gone = known[who % len(known)]
            self.erased.update((event.q, event.seq) for event in await self.events(gone))
            assert await erase(self.pool, gone, PARTITIONS)

    async def _taken(self, taking: Awaitable[object]) -> None:
        with suppress(NothingLeft, NotTheirs):
            await taking

    def _request(self) -> str:
        self._requests += 1
        return f"r{self._requests}"

    @property
    def now(self) -> Millis:
        return self._now


async def found_town(database_url: str) -> Town:
    """An empty one; close its pool."""
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect(database_url)
    await initialise(pool, [EVENTS, MESSAGES], PARTITIONS)
    await pool.execute(f"TRUNCATE {await pool.fetchval(_TABLES)}")
    await pool.execute("UPDATE input SET next_offset = 0, time = 0")
    await pool.execute("UPDATE counter SET next_seq = 1, time = 0, low = 0")
    return Town(pool)
