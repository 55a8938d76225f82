"""Drives the profile service's worker in-process, on a real Postgres and a real log."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import msgspec

from headrace.contracts import topics
from headrace.contracts.computed_trait import ComputedTrait, TraitChange, TraitProfile
from headrace.contracts.event import Event, event_key
from headrace.contracts.headers import store_output
from headrace.contracts.instant import format_instant
from headrace.contracts.message import MessageOutcome
from headrace.contracts.profile_event import ProfileEvent, Tick, decode_profile_event
from headrace.log.connect import connect_log
from headrace.log.port import Log, Member, NewRecord, Record
from headrace.log.topics import ensure_topics
from headrace.runtime.engine import async_engine
from headrace.runtime.metrics import Metrics
from headrace.runtime.migrations import migrate
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.settings import CommonSettings
from services.profiles.api import build_api
from services.profiles.computed_sql import initialise_side
from services.profiles.elsewhere import OtherServices
from services.profiles.reads import Profiles
from services.profiles.settings import Settings
from services.profiles.store import MIGRATIONS, PLANS, SCHEMA, connect, initialise
from services.profiles.suppression import Suppressor
from services.profiles.worker import Worker, input_topics, side_topics
from tests.http.documented import DocumentedTransport

PARTITIONS = 2
HOUR, DAY = 3_600_000, 86_400_000
T0 = 1_790_000_000_000 - 300 * DAY
SUPPRESSOR = Suppressor(b"the key of this test")
_SILENT = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503)), base_url="http://silent")
NOWHERE = OtherServices(_SILENT, _SILENT)
"""No segmenter and no messenger: the profile service is alone."""
_numbers = itertools.count(1)


class Owner:
    """A group of one with fixed partitions. Stands in for `Log.join`, so that tests choose who owns what."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self._partitions = frozenset(partitions)
        self.committed: dict[tuple[str, int], int] = {}

    def assigned(self) -> frozenset[int]:
        return self._partitions

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        await asyncio.Event().wait()
        return known

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        self.committed[topic, partition] = next_offset

    async def leave(self) -> None:
        self._partitions = frozenset()


@dataclass
class Rig:
    """One database and one log, and what tests do with them."""

    settings: Settings
    log: Log
    pool: asyncpg.Pool

    @property
    def partitions(self) -> range:
        return range(self.settings.common.partitions)

    def topic(self, topic: topics.Topic) -> str:
        return self.settings.common.topic(topic.name)

    async def send(self, *events: Event, q: int | None = None) -> None:
        """Append events; each to its key's partition, or all to `q`."""
        for event in events:
            key = event_key(event.user_id, event.anonymous_id, None)
            partition = topics.partition_of(key, len(self.partitions)) if q is None else q
            await self.log.append(self.topic(topics.EVENTS), partition, [record(event)])

    @asynccontextmanager
    async def worker(
        self,
        *,
        owns: Iterable[int] | None = None,
        log: Log | None = None,
        metrics: Metrics | None = None,
        on_quarantine: Callable[[], None] | None = None,
    ) -> AsyncIterator[Worker]:
        """A worker with a pool of its own, as another process would have; it owns all partitions or `owns`."""
        metrics = metrics or Metrics("profiles")
        pool = await connect(self.settings.database_url)
        member: Member = Owner(self.partitions if owns is None else owns)
        worker = Worker(
            self.settings, log or self.log, pool, member, metrics, SUPPRESSOR, on_quarantine=on_quarantine
        )
        running = [
            asyncio.create_task(PartitionRunner(member, worker.work, metrics).run()),
            asyncio.create_task(worker.ticker.run()),
        ]
        try:
            yield worker
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await pool.close()

    @asynccontextmanager
    async def api(self, worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the service's HTTP with the admin token; `worker` publishes what it writes."""
        engine = async_engine(self.settings.database_url, schema=SCHEMA, settings=PLANS)
        app = build_api(
            self.settings,
            pool=self.pool,
            profiles=Profiles(engine),
            wake=worker.wake,
            suppressor=SUPPRESSOR,
            elsewhere=NOWHERE,
            metrics=Metrics("profiles"),
            checks={},
        )
        client = httpx.AsyncClient(
            transport=DocumentedTransport("profiles", app),
            base_url="http://profiles",
            headers={"Authorization": "Bearer admin"},
        )
        async with client:
            yield client
        await engine.dispose()

    async def send_outcome(self, **fields: Any) -> None:
        """Append a message's outcome as the messenger does."""
        outcome = MessageOutcome(
            **{
                "message_id": f"outcome-{next(_numbers)}",
                "id": "s1",
                "channel": "sms",
                "campaign_id": "win-back",
                "campaign_version": 1,
                "entry_id": "e1",
                "step": "0",
                "at": T0,
                **fields,
            }
        )
        q = topics.partition_of(outcome.profile_id, len(self.partitions))
        await self.log.append(self.topic(topics.MESSAGES), q, [NewRecord(b"", msgspec.json.encode(outcome))])

    async def send_computed(
        self, profile_id: str, trait: str, value: Any, *, sequence: int, epoch: int = 1, q: int | None = None
    ) -> None:
        """Append a computed trait as the segmenter publishes it."""
        record = ComputedTrait(
            message_id=f"computed-{next(_numbers)}",
            user_id=None,
            anonymous_id=None,
            timestamp=format_instant(T0),
            traits={trait: value},
            context={},
            profile=TraitProfile(profile_id),
            trait=TraitChange(id=trait, version=1, reason="event", sequence=sequence),
        )
        headers = store_output(source="segmenter", epoch=epoch, seq=1, position="")
        home = topics.partition_of(profile_id, len(self.partitions)) if q is None else q
        sent = NewRecord(profile_id.encode(), msgspec.json.encode(record), headers)
        await self.log.append(self.topic(topics.COMPUTED_TRAITS), home, [sent])

    async def processed(self) -> None:
        """Wait until every input is applied and every row is published."""
        await eventually(self._caught_up)

    async def published(self, q: int) -> list[ProfileEvent]:
        """What output partition q holds, in order, ticks included."""
        return [decode_profile_event(found.value or b"") for found in await self.records(q)]

    async def rows(self) -> list[ProfileEvent]:
        """The published rows of all partitions, without ticks."""
        found = [await self.published(q) for q in self.partitions]
        return [row for partition in found for row in partition if not isinstance(row, Tick)]

    async def records(self, q: int, topic: topics.Topic = topics.PROFILE_EVENTS) -> list[Record]:
        name = self.topic(topic)
        bounds = await self.log.bounds(name, q)
        records: list[Record] = []
        while bounds.begin + len(records) < bounds.end:
            records += await self.log.read(name, q, bounds.begin + len(records), max_records=1000)
        return records

    async def profiles(self) -> list[dict[str, Any]]:
        """The live profiles as other services see them."""
        rows = await self.pool.fetch("SELECT * FROM profile_v1 ORDER BY id")
        as_json = {"traits", "consents", "computed", "tags", "identifiers"}
        return [{k: msgspec.json.decode(v) if k in as_json else v for k, v in row.items()} for row in rows]

    async def people(self) -> set[frozenset[tuple[str, str]]]:
        """Who is who: the identifiers of each live profile."""
        return {
            frozenset((one["type"], one["value"]) for one in profile["identifiers"])
            for profile in await self.profiles()
        }

    async def _caught_up(self) -> bool:
        query = (
            "SELECT next_offset FROM (SELECT topic, q, next_offset FROM input UNION ALL TABLE side_input) AS i "
            "WHERE topic = $1 AND q = $2"
        )
        for name in input_topics(self.settings) + side_topics(self.settings):
            for q in self.partitions:
                end = (await self.log.bounds(name, q)).end
                if await self.pool.fetchval(query, name, q) != end:
                    return False
        return not await self.pool.fetchval("SELECT count(*) FROM counter WHERE published_seq < next_seq - 1")


@asynccontextmanager
async def profiles_rig(
    database_url: str, log_url: str, partitions: int = PARTITIONS, *, topic_prefix: str = ""
) -> AsyncIterator[Rig]:
    """A migrated database and an empty log with the deployment's topics."""
    settings = Settings(
        common=CommonSettings(
            log_url=log_url,
            partitions=partitions,
            topic_prefix=topic_prefix,
            host="127.0.0.1",
            admin_token="admin",
            rollback_horizon_ms=HOUR,
            log_json=True,
        ),
        database_url=database_url,
        port=0,
        phone_region="CZ",
        tick_ms=250,
    )
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    log = await connect_log(log_url, rollback_horizon_ms=HOUR)
    pool = await connect(database_url)
    try:
        await ensure_topics(log, prefix=topic_prefix, partitions=partitions)
        await initialise(pool, input_topics(settings), partitions)
        await initialise_side(pool, side_topics(settings), partitions)
        yield Rig(settings, log, pool)
    finally:
        await pool.close()
        await log.close()


def event(
    type: str = "track",
    *,
    user: str | None = None,
    anonymous: str | None = None,
    name: str | None = None,
    at: int = T0,
    message_id: str | None = None,
    properties: dict[str, Any] | None = None,
    traits: dict[str, Any] | None = None,
    **more: Any,
) -> Event:
    """An event as ingest writes it."""
    return Event(
        type=type,  # type: ignore[arg-type]
        message_id=message_id or f"message-{next(_numbers)}",
        source="shop",
        timestamp=format_instant(at),
        received_at=format_instant(at),
        user_id=user,
        anonymous_id=anonymous,
        event=(name or "Product Viewed") if type == "track" else None,
        properties=msgspec.Raw(msgspec.json.encode(properties or {})),
        traits=msgspec.Raw(msgspec.json.encode(traits or {})),
        **more,
    )


def record(event: Event) -> NewRecord:
    return NewRecord((event.user_id or event.anonymous_id or "").encode(), msgspec.json.encode(event))


def dense(rows: Sequence[ProfileEvent]) -> bool:
    """Numbers from 1 without a hole, each once; ticks name the row before them."""
    last = 0
    for row in rows:
        if row.seq != (last if isinstance(row, Tick) else last + 1):
            return False
        last = row.seq
    return True


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Poll until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
