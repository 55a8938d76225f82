"""Whatever merges, unmerges and merges again: every event is exactly one customer's, and each customer is what its
own events say. The segmenter's reading of the timeline agrees about whose each event is."""

from collections import Counter
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts.event import Event, EventType
from headrace.contracts.instant import format_instant
from headrace.log.port import Record
from headrace.runtime.migrations import migrate
from services.profiles.batch import Batch, commit_batch
from services.profiles.history_sql import family, past_events
from services.profiles.intake import event_reader
from services.profiles.merging import merge
from services.profiles.people_sql import load_documents, lock_profiles
from services.profiles.recomputed import documents_of
from services.profiles.store import MIGRATIONS, SCHEMA, Connection, connect, initialise
from services.profiles.unmerging import NothingLeft, NotTheirs, take_out, undo
from services.segmenter.timeline import PostgresTimeline

PARTITIONS = 2
TOPIC = "cdp.events.v1"
T0 = 1_790_000_000_000
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
_TABLES = "timeline, profile, identifier, alias, seen, unmerge, moved, apart, decision, suspicion, tag_request"

names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)
said = st.sampled_from(
    [
        {},
        {},
        {"traits": {"city": "Brno"}},
        {"traits": {"city": "Praha", "vip": True}},
        {"traits": {"vip": None}},
        {"event": "Consent Given", "properties": {"channel": "sms"}},
        {"event": "Consent Withdrawn", "properties": {"channel": "sms"}},
        {"event": "Tag Added", "properties": {"tag": "t"}},
        {"event": "Tag Removed", "properties": {"tag": "t"}},
    ]
)
event_op = st.tuples(st.just("event"), names, st.sampled_from([None, None, "u1", "u2"]), said, st.integers(0, 50))
merge_op = st.tuples(st.just("merge"), st.integers(0, 20), st.integers(0, 20))
out_op = st.tuples(st.just("out"), st.integers(0, 20), st.integers(0, 20))
undo_op = st.tuples(st.just("undo"), st.integers(0, 20))
operations = st.lists(
    st.one_of(event_op, event_op, event_op, event_op, merge_op, out_op, undo_op), min_size=3, max_size=25
)


class Town:
    """Applies operations to a database; customers are told by their rank among all."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self._read = event_reader("CZ")
        self._offset = 0

    async def do(self, operation: tuple[Any, ...]) -> None:
        kind, *arguments = operation
        await getattr(self, f"_{kind}")(*arguments)

    async def customers(self) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT id FROM profile WHERE merged_into IS NULL AND NOT erased ORDER BY first_seen, id"
        )
        return [row["id"] for row in rows]

    async def _event(self, cookies: list[str], user: str | None, says: dict[str, Any], late: int) -> None:
        at = T0 + self._offset * 100
        kind: EventType = "identify" if "traits" in says else "track"
        external = [{"id": one, "type": "card", "collection": "users"} for one in cookies[1:]]
        event = Event(
            type=kind,
            message_id=f"m{self._offset}",
            source="shop",
            timestamp=format_instant(at - late * 30),
            received_at=format_instant(at),
            user_id=user,
            anonymous_id=cookies[0],
            event=says.get("event", "Looked"),
            properties=msgspec.Raw(msgspec.json.encode(says.get("properties", {}))),
            traits=msgspec.Raw(msgspec.json.encode(says.get("traits", {}))),
            context=msgspec.Raw(msgspec.json.encode({"externalIds": external})),
            trusted=True,
        )
        record = Record(TOPIC, 0, self._offset, at, b"k", msgspec.json.encode(event), ())
        batch = Batch(TOPIC, 0, self._offset, [at], [(0, self._read(record))])
        await commit_batch(self.pool, batch, PARTITIONS)
        self._offset += 1

    async def _merge(self, one: int, other: int) -> None:
        if known := await self.customers():
            await merge(self.pool, known[one % len(known)], known[other % len(known)], PARTITIONS)

    async def _out(self, who: int, which: int) -> None:
        known = await self.customers()
        if not known:
            return
        profile = known[who % len(known)]
        async with self.pool.acquire() as connection:
            owned = await connection.fetch(
                "SELECT type, value FROM identifier WHERE profile_id = ANY($1) ORDER BY type, value",
                await family(connection, profile),
            )
        if owned:
            found = owned[which % len(owned)]
            await self._taken(take_out(self.pool, profile, tuple(found), f"out-{self._numbered()}", PARTITIONS))

    async def _undo(self, which: int) -> None:
        rows = await self.pool.fetch("SELECT n, profile_id FROM decision WHERE kind = 'merged' ORDER BY n")
        if rows:
            found = rows[which % len(rows)]
            request = f"undo-{self._numbered()}"
            await self._taken(undo(self.pool, found["profile_id"], found["n"], request, PARTITIONS))

    async def _taken(self, taking: Any) -> None:
        with suppress(NothingLeft, NotTheirs):
            await taking

    def _numbered(self) -> int:
        self._number = getattr(self, "_number", 0) + 1
        return self._number


async def check(town: Town) -> None:
    timeline = PostgresTimeline(town.pool)
    everything = Counter(
        (row["q"], row["seq"]) for row in await town.pool.fetch("SELECT q, seq FROM timeline WHERE kind = 'event'")
    )
    found: Counter[tuple[int, int]] = Counter()
    named: Counter[tuple[str, str]] = Counter()
    for customer in await town.customers():
        async with town.pool.acquire() as connection, connection.transaction():
            found.update(await _one(connection, customer, timeline, named))
    assert found == everything
    assert not named or max(named.values()) == 1


async def _one(
    connection: Connection, customer: str, timeline: PostgresTimeline, named: Counter[tuple[str, str]]
) -> list[tuple[int, int]]:
    people = await lock_profiles(connection, [customer])
    profile = people.profile(customer)
    assert profile is not None
    members = await family(connection, customer)
    events = await past_events(connection, members)
    places = [(event.q, event.seq) for event in events]
    [documents] = await load_documents(connection, [profile])
    expected = documents_of(events)
    assert (documents.traits, documents.tags) == (expected.traits, expected.tags)
    assert documents.consents == expected.consents
    seen = [event.ts for event in events if event.identifiers]
    if seen:  # an identifier that never stood alone leaves with no event, and had been seen all the same
        assert profile.first_seen <= min(seen)
        assert profile.last_seen >= max(seen)
    owned = await connection.fetch("SELECT type, value FROM identifier WHERE profile_id = ANY($1)", members)
    named.update((row["type"], row["value"]) for row in owned)
    assert owned, "a customer whom nobody could find"
    assert {row["value"] for row in owned if row["type"] == "user_id"} == {profile.user_id} - {None}
    history = await timeline.history([customer])
    assert [(stored.partition, stored.row.seq) for stored in history.combined(customer, 2**60)] == places
    return places


@EXAMPLES
@given(operations)
async def test_every_event_is_one_customers_whatever_merges_and_parts(
    database_url: str, operations: list[tuple[Any, ...]]
) -> None:
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect(database_url)
    try:
        await initialise(pool, [TOPIC], PARTITIONS)
        await pool.execute(f"TRUNCATE {_TABLES}")
        await pool.execute("UPDATE input SET next_offset = 0, time = 0")
        await pool.execute("UPDATE counter SET next_seq = 1, time = 0, low = 0")
        town = Town(pool)
        for operation in operations:
            await town.do(operation)
            await check(town)
    finally:
        await pool.close()
