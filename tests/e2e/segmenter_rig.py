"""Drives the segmenter in-process on a real Valkey, Postgres and log. The test writes the timeline itself,
through the profile service's own schema, so that it decides every number and instant."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from headrace.contracts.headers import store_output
from headrace.contracts.profile_event import ControlRequest, ControlRow, EventRow, ProfileRow, Tick
from headrace.contracts.segment import parse_segment
from headrace.contracts.topics import PROFILE_EVENTS, SEGMENT_CHANGES, Topic, partition_of
from headrace.log.connect import connect_log
from headrace.log.port import Log, LogUnavailable, NewRecord, Record
from headrace.log.topics import ensure_topics
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from headrace.runtime.settings import CommonSettings
from services.segmenter.assembly import Segmenter, assemble
from services.segmenter.main import MIGRATIONS, SCHEMA
from services.segmenter.redis_client import Client, connect
from services.segmenter.settings import Settings
from tests.http.documented import DocumentedTransport

PARTITIONS = 2
HOUR = 3_600_000
T0 = 1_790_000_000_000
ADMIN = {"Authorization": "Bearer admin"}
_PROFILES = Path(__file__).parents[2] / "services" / "profiles" / "migrations"
_numbers = itertools.count(1)
_HEADER = ("seq", "epoch", "time", "low")


@dataclass
class Rig:
    """`time` is the profile service's: rows and ticks carry it. `profiles` leads to a real profile service, in
    place of the test as the one that writes the timeline."""

    settings: Settings
    log: Log
    pool: "asyncpg.Pool[asyncpg.Record]"
    redis: Client
    time: int = T0
    epoch: int = 1
    profiles: httpx.AsyncBaseTransport | None = None
    tagged: dict[str, dict[str, Any]] = field(default_factory=dict)
    on: set[tuple[str, str]] = field(default_factory=set)
    _controls: dict[str, None] = field(default_factory=dict)

    async def event(
        self, profile: str, name: str = "Order Completed", *, lost: bool = False, **fields: Any
    ) -> EventRow:
        """Write an event row; `lost` = it does not reach the log."""
        properties = fields.pop("properties", {})
        row = EventRow(
            **await self.header(self.q(profile)),
            profile_id=profile,
            source="shop",
            message_id=fields.pop("message_id", f"message-{next(_numbers)}"),
            type="track",
            ts=fields.pop("ts", self.time),
            event=name,
            properties=msgspec.Raw(msgspec.json.encode(properties)),
            **fields,
        )
        await self.store(self.q(profile), row)
        if not lost:
            await self.publish(self.q(profile), row)
        return row

    async def tick(self, milliseconds: int) -> None:
        """Time passes on every partition."""
        self.time += milliseconds
        for q in range(PARTITIONS):
            seq = (await self.header(q))["seq"] - 1
            tick = Tick(seq=seq, epoch=self.epoch, low=self.time)
            await self.log.append(self.topic(PROFILE_EVENTS.name), q, [NewRecord(b"", msgspec.json.encode(tick))])

    async def control(self, request: ControlRequest) -> None:
        """What the profile service does with `POST /v1/control`."""
        if request.id in self._controls:
            return
        self._controls[request.id] = None
        touched = range(PARTITIONS) if request.profile_ids is None else {*map(self.q, request.profile_ids)}
        for q in sorted(touched):
            header = await self.header(q)
            await self.write(q, ControlRow(**header, id=request.id, control=request.kind, payload=request.payload))

    async def write(self, q: int, row: ProfileRow) -> None:
        await self.store(q, row)
        await self.publish(q, row)

    async def store(self, q: int, row: ProfileRow) -> None:
        document = msgspec.json.decode(msgspec.json.encode(row))
        payload = msgspec.json.encode(
            {key: value for key, value in document.items() if key not in _HEADER}
        ).decode()
        await self.pool.execute(
            """INSERT INTO profiles.timeline (q, seq, epoch, time, low, profile_id, kind, event, ts, payload)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
            q, row.seq, row.epoch, row.time, row.low, document.get("profile_id", ""), document["kind"],
            document.get("event"), document.get("ts"), payload,
        )  # fmt: skip

    async def publish(self, q: int, row: ProfileRow) -> None:
        """As a relay does: again until the log has it. Receivers drop what they have."""
        headers = store_output(source="profiles", epoch=row.epoch, seq=row.seq, position=str(row.seq))
        record = NewRecord(b"", msgspec.json.encode(row), headers)
        while True:
            try:
                await self.log.append(self.topic(PROFILE_EVENTS.name), q, [record])
            except LogUnavailable:
                continue
            return

    async def changes(self) -> list[tuple[str, str, str]]:
        """What is published: (profile, segment, action), by partition."""
        found = []
        for record in await self.change_records():
            change = msgspec.json.decode(record.value or b"")
            properties = change["properties"]
            found.append((change["profile"]["id"], properties["segment_id"], properties["action"]))
        return found

    async def change_records(self) -> list[Record]:
        return await self.records_of(SEGMENT_CHANGES)

    async def records_of(self, topic: Topic) -> list[Record]:
        """Everything that stands in the topic, by partition."""
        records: list[Record] = []
        for q in range(PARTITIONS):
            name = self.topic(topic.name)
            bounds = await self.log.bounds(name, q)
            offset = bounds.begin
            while offset < bounds.end:
                batch = await self.log.read(name, q, offset, max_records=1000)
                records += batch
                offset = batch[-1].offset + 1
        return records

    async def live(self, api: httpx.AsyncClient, segment_id: str, when: Any) -> None:
        """Put a segment and wait until it is live everywhere."""
        definition = parse_segment({"kind": "segment", "id": segment_id, "name": segment_id, "when": when})
        answer = await api.put(f"/v1/segments/{segment_id}", json=definition.canonical())
        assert answer.status_code == 200, answer.text

        async def is_live() -> bool:
            found = (await api.get(f"/v1/segments/{segment_id}")).json()
            return bool(found["status"] == "live" and found["version"] == answer.json()["version"])

        await eventually(is_live)

    async def trait_live(self, api: httpx.AsyncClient, trait_id: str, value: Any) -> None:
        """Put a computed trait and wait until it is live everywhere."""
        body = {"kind": "trait", "id": trait_id, "name": trait_id, "value": value}
        answer = await api.put(f"/v1/traits/{trait_id}", json=body)
        assert answer.status_code == 200, answer.text

        async def is_live() -> bool:
            found = (await api.get(f"/v1/traits/{trait_id}")).json()
            return bool(found["status"] == "live" and found["version"] == answer.json()["version"])

        await eventually(is_live)

    @asynccontextmanager
    async def segmenter(self) -> AsyncIterator["Running"]:
        """A segmenter with clients of its own, as another process would have."""
        pool = await connect_pool(self.settings.database_url, schema=SCHEMA)
        log = await connect_log(self.settings.common.log_url, rollback_horizon_ms=HOUR)
        reader, writer = connect(self.settings.redis_url), connect(self.settings.redis_url, retries=0)
        transport = self.profiles or httpx.MockTransport(self._profiles)
        profiles = httpx.AsyncClient(transport=transport, base_url="http://profiles", headers=ADMIN)
        service = assemble(self.settings, log, pool, reader, writer, profiles, clock=lambda: self.time)
        api = httpx.AsyncClient(
            transport=DocumentedTransport("segmenter", service.app), base_url="http://segmenter", headers=ADMIN
        )
        running = [asyncio.ensure_future(part) for part in service.background()]
        try:
            yield Running(service, api, reader)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for client in (api, profiles, reader, writer):
                await client.aclose()
            await log.close()
            await pool.close()

    def q(self, profile: str) -> int:
        return partition_of(profile, PARTITIONS)

    def topic(self, name: str) -> str:
        return self.settings.common.topic(name)

    async def header(self, q: int) -> dict[str, Any]:
        last = await self.pool.fetchval("SELECT coalesce(max(seq), 0) FROM profiles.timeline WHERE q = $1", q)
        return {"seq": last + 1, "epoch": self.epoch, "time": self.time, "low": self.time}

    async def _profiles(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/control":
            await self.control(msgspec.json.decode(request.content, type=ControlRequest))
            return httpx.Response(200, json={"success": True})
        if request.url.path == "/v1/tags":
            return httpx.Response(200, json=await self._tags(msgspec.json.decode(request.content)))
        value = request.url.params["value"]
        return httpx.Response(200, json={"id": value}) if value.startswith("p") else httpx.Response(404)

    async def _tags(self, wanted: Any) -> dict[str, Any]:
        """What the profile service does with `POST /v1/tags`; it knows whose id begins with p."""
        if wanted["id"] not in self.tagged:
            applied, unknown = 0, []
            for change in wanted["changes"]:
                profile, tag, on = change["profile_id"], change["tag"], change["on"]
                if not profile.startswith("p"):
                    unknown.append(profile)
                elif ((profile, tag) in self.on) is not on:
                    applied += 1
                    (self.on.add if on else self.on.discard)((profile, tag))
                    await self.event(profile, "List Joined" if on else "List Left", tags={tag: on})
            unchanged = len(wanted["changes"]) - applied - len(unknown)
            self.tagged[wanted["id"]] = {"applied": applied, "unchanged": unchanged, "unknown": unknown}
        return self.tagged[wanted["id"]]


@dataclass
class Running:
    service: Segmenter
    api: httpx.AsyncClient
    redis: Client

    async def memberships(self, profile: str) -> set[str]:
        answer = await self.api.get(f"/v1/profiles/{profile}/segments")
        return {item["id"] for item in answer.json()["items"]} if answer.status_code == 200 else set()


@asynccontextmanager
async def segmenter_rig(
    database_url: str, redis_url: str, log_url: str, *, topic_prefix: str = ""
) -> AsyncIterator[Rig]:
    """Migrated schemas, an empty Redis, an empty log with the deployment's topics."""
    settings = Settings(
        common=CommonSettings(
            log_url=log_url,
            partitions=PARTITIONS,
            topic_prefix=topic_prefix,
            host="127.0.0.1",
            admin_token="admin",
            rollback_horizon_ms=HOUR,
            log_json=True,
        ),
        database_url=database_url,
        redis_url=redis_url,
        profiles_url="http://profiles",
        port=0,
    )
    await migrate(database_url, schema="profiles", scripts=_PROFILES)
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    log = await connect_log(log_url, rollback_horizon_ms=HOUR)
    pool = await connect_pool(database_url, schema=SCHEMA)
    redis = connect(redis_url)
    try:
        await ensure_topics(log, prefix=topic_prefix, partitions=PARTITIONS)
        yield Rig(settings, log, pool, redis)
    finally:
        await redis.aclose()
        await pool.close()
        await log.close()


async def eventually(condition: Callable[[], Awaitable[object]], timeout: float = 40.0) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not await condition():  # noqa: ASYNC110  (what is waited for is in other processes' stores)
            await asyncio.sleep(0.02)
