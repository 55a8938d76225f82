"""Mending: a lost record is published again, a partition's state is rebuilt, and nothing is published twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest

from headrace.contracts.headers import SEQ, header
from headrace.contracts.ids import profile_id
from headrace.contracts.topics import PROFILE_EVENTS, partition_of
from headrace.log.port import Log, NewRecord, Record
from headrace.runtime.engine import async_engine
from headrace.runtime.metrics import Metrics
from headrace.runtime.republish import republish_router
from services.profiles.api import build_api
from services.profiles.reads import Profiles
from services.profiles.store import SCHEMA
from services.segmenter import keys
from tests.e2e.profiles_rig import NOWHERE, SUPPRESSOR, event, profiles_rig
from tests.e2e.profiles_rig import Rig as ProfilesRig
from tests.e2e.segmenter_rig import ADMIN, PARTITIONS, Rig, Running, eventually, segmenter_rig

TWO_ORDERS = {"event": {"name": "Order Completed", "count": {"gte": 2}}}


class LossyLog:
    """Loses the profile event whose number is `lost`, once, and says that it has it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.lost: tuple[int, int] | None = None
        self.bounds, self.read = log.bounds, log.read

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        kept = [record for record in records if not self._is_lost(topic, partition, record)]
        return await self._log.append(topic, partition, kept)

    def _is_lost(self, topic: str, partition: int, record: NewRecord) -> bool:
        seq = int(header(record.headers, SEQ) or 0)
        if not topic.endswith(PROFILE_EVENTS.name) or (partition, seq) != self.lost:
            return False
        if header(record.headers, "ce_type") == b"io.headrace.profile.tick.v1":
            return False
        self.lost = None
        return True


@dataclass
class Both:
    """The profile service and the segmenter on the same engines."""

    people: ProfilesRig
    running: Running
    profiles: httpx.AsyncClient
    log: LossyLog

    async def next_seq(self, q: int) -> int:
        return int(await self.people.pool.fetchval("SELECT next_seq FROM counter WHERE q = $1", q))

    async def rows(self, q: int) -> list[Record]:
        """The published rows of a partition, without ticks."""
        records = await self.people.records(q)
        return [r for r in records if header(r.headers, "ce_type") != b"io.headrace.profile.tick.v1"]


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def people(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[ProfilesRig]:
    async with profiles_rig(database_url, log_url, PARTITIONS, topic_prefix=topic_prefix) as people:
        yield people


@asynccontextmanager
async def profile_service(people: ProfilesRig, log: Log, owns: Sequence[int]) -> AsyncIterator[httpx.AsyncClient]:
    engine = async_engine(people.settings.database_url, schema=SCHEMA)
    async with people.worker(log=log, owns=owns) as worker:
        app = build_api(
            people.settings,
            pool=people.pool,
            profiles=Profiles(engine),
            wake=worker.wake,
            suppressor=SUPPRESSOR,
            elsewhere=NOWHERE,
            metrics=Metrics("profiles"),
            checks={},
        )
        app.include_router(republish_router(worker.relay, partitions=PARTITIONS))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://profiles", headers=ADMIN) as client:
            yield client
    await engine.dispose()


@asynccontextmanager
async def both(people: ProfilesRig, segments: Rig) -> AsyncIterator[Both]:
    log = LossyLog(people.log)
    async with profile_service(people, log, range(PARTITIONS)) as client:  # type: ignore[arg-type]
        segments.profiles = httpx.MockTransport(client.send)
        async with segments.segmenter() as running:
            yield Both(people, running, client, log)


async def test_a_lost_record_is_published_again_and_the_partition_goes_on(people: ProfilesRig, rig: Rig) -> None:
    async with both(people, rig) as platform:
        await rig.live(platform.running.api, "two-orders", TWO_ORDERS)
        customer = profile_id("shop", "first")
        q = partition_of(customer, PARTITIONS)
        await people.send(event(user="u1", name="Order Completed", message_id="first"))
        await people.processed()
        lost = await platform.next_seq(q)
        platform.log.lost = (q, lost)
        await people.send(event(user="u1", name="Order Completed", message_id="second"))
        await people.processed()
        await people.send(event(user="u1", name="Order Completed", message_id="third"))
        await people.processed()  # a tick may show the gap before this row is there
        await eventually(lambda: _gap_seen(platform.running))
        assert await platform.running.memberships(customer) == set()

        answer = await platform.profiles.post("/v1/republish", json={"partition": q, "from_seq": lost})
        assert (answer.status_code, answer.json()["records"]) == (200, 2)
        await eventually(lambda: _is(platform.running, customer, {"two-orders"}))
        await people.send(event(user="u1", name="Other", message_id="fourth"))
        await eventually(lambda: _applied(rig, platform.running, q, lost + 2))
        assert await rig.changes() == [(customer, "two-orders", "entered")]
        change = msgspec.json.decode((await rig.change_records())[0].value or b"")
        assert change["properties"]["cause_message_id"] == "second"
        rows = await platform.rows(q)
        assert [int(header(row.headers, SEQ) or 0) for row in rows[-4:]] == [lost + 1, lost, lost + 1, lost + 2]
        first, again = rows[-4], rows[-2]
        assert (first.key, first.value, first.headers) == (again.key, again.value, again.headers)


async def test_only_the_owner_of_a_partition_publishes_it_again(people: ProfilesRig) -> None:
    async with profile_service(people, people.log, [0]) as client:

        async def refused(partition: int, **headers: str) -> tuple[int, str]:
            body = {"partition": partition, "from_seq": 1}
            answer = await client.post("/v1/republish", json=body, headers=headers)
            return answer.status_code, answer.json().get("code", "")

        await eventually(lambda: _owned(refused))
        assert await refused(1) == (409, "not_owner")
        assert await refused(PARTITIONS) == (400, "unknown_partition")
        assert await refused(0, Authorization="Bearer wrong") == (401, "unauthorized")


async def test_a_change_is_published_again_while_it_is_kept(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        for _ in range(2):
            await rig.event("p1")
        await eventually(lambda: _published(rig, 1))
        wanted = {"partition": rig.q("p1"), "from_seq": 1}
        answer = await running.api.post("/v1/republish", json=wanted)
        assert (answer.status_code, answer.json()["records"]) == (200, 1)
        first, again = await rig.change_records()
        assert (first.key, first.value, first.headers) == (again.key, again.value, again.headers)
        await rig.redis.delete(keys.outbox(rig.q("p1"), 1))
        answer = await running.api.post("/v1/republish", json=wanted)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_held")


async def test_a_rebuild_under_traffic_changes_nothing_and_publishes_nothing_twice(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        profiles = [f"p{number}" for number in range(30)]
        before = _rebuilds(running)

        async def traffic() -> None:
            for _ in range(4):
                for profile in profiles:
                    await rig.event(profile)
                    await asyncio.sleep(0)

        shop = asyncio.ensure_future(traffic())
        rebuilt = 0
        while not shop.done() or rebuilt < 2:
            assert (await running.api.post("/v1/rebuild", json={"partition": None})).status_code == 200
            await eventually(lambda: _rebuilt(running))
            rebuilt += 1
        await shop
        for profile in profiles:
            await eventually(lambda profile=profile: _is(running, profile, {"two-orders"}))  # type: ignore[misc]
        await eventually(lambda: _published(rig, len(profiles)))
        assert sorted(await rig.changes()) == sorted((profile, "two-orders", "entered") for profile in profiles)
        for q in range(PARTITIONS):
            records = [r for r in await rig.change_records() if r.partition == q]
            assert [int(header(r.headers, SEQ) or 0) for r in records] == list(range(1, len(records) + 1))
        verified = (await running.api.post("/v1/segments/two-orders/verify")).json()
        assert (verified["checked"], verified["mismatches"], verified["skipped"]) == (len(profiles), 0, 0)
        assert _rebuilds(running) >= before + 2 * PARTITIONS


async def test_a_rebuild_mends_a_gap_too(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        q = rig.q("p1")
        await rig.event("p1", lost=True)
        await rig.event("p1")
        await eventually(lambda: _gap_seen(running))
        answer = await running.api.post("/v1/rebuild", json={"partition": q})
        assert answer.json() == {"success": True, "partitions": [q], "elsewhere": 0}
        await eventually(lambda: _is(running, "p1", {"two-orders"}))
        await eventually(lambda: _published(rig, 1))


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"partition": PARTITIONS}, ADMIN, "unknown_partition"),
        ({"partition": -1}, ADMIN, "invalid_request"),
        ({"partitions": 1}, ADMIN, "invalid_request"),
        ({"partition": None}, {"Authorization": "Bearer wrong"}, "unauthorized"),
    ],
)
async def test_a_rebuild_that_cannot_be_is_refused(
    rig: Rig, body: dict[str, Any], headers: dict[str, str], code: str
) -> None:
    async with rig.segmenter() as running:
        await eventually(lambda: _rebuilt(running))
        answer = await running.api.post("/v1/rebuild", json=body, headers=headers)
        assert answer.json()["code"] == code


def _rebuilds(running: Running) -> float:
    return running.service.metrics.registry.get_sample_value("headrace_rebuilds_total") or 0


async def _gap_seen(running: Running) -> bool:
    return "headrace_sequence_gaps_total{" in (await running.api.get("/metrics")).text


async def _is(running: Running, profile: str, segments: set[str]) -> bool:
    return await running.memberships(profile) == segments


async def _published(rig: Rig, count: int) -> bool:
    return len(await rig.change_records()) >= count


async def _rebuilt(running: Running) -> bool:
    items = (await running.api.get("/v1/rebuild")).json()["items"]
    return len(items) == PARTITIONS and all(item["state"] == "live" for item in items)


async def _applied(rig: Rig, running: Running, q: int, seq: int) -> bool:
    items = (await running.api.get("/v1/rebuild")).json()["items"]
    return any(item["partition"] == q and item["seq"] >= seq for item in items)


async def _owned(refused: Any) -> bool:
    return bool((await refused(0))[0] == 200)
