"""Cut points from the timeline to the segments: when they are computed and posted, and who is a member by them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.profile_event import ControlRow
from headrace.contracts.segment import parse_segment
from headrace.contracts.segment_conditions import RFM_CLASSES
from headrace.runtime.metrics import Metrics
from services.segmenter import cut_points as module
from services.segmenter.controls import Controls
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.cut_points_sql import Quintiles, quintiles
from services.segmenter.definitions import Definitions
from services.segmenter.populations import Population
from services.segmenter.timeline import PostgresTimeline
from tests.e2e.naive_scores import cuts_of, score
from tests.e2e.naive_scores import orders as orders_of_the_sample
from tests.e2e.rfm_rig import CHAMPIONS, TOP_SPENDERS, YEAR, buy, members, orders, posted
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, Rig, Running, eventually, segmenter_rig


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def keeper(rig: Rig) -> AsyncIterator[CutPointKeeper]:
    """Of a process without a segmenter: nothing runs but what the test calls."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as profiles:
        controls = Controls(rig.pool, Definitions(rig.pool, PARTITIONS), profiles)
        yield CutPointKeeper(rig.pool, controls, Metrics("segmenter"), clock=lambda: rig.time, check_seconds=0.01)


async def put(rig: Rig, segment_id: str, when: Any) -> None:
    """As another process does it: without asking for cut points."""
    document = {"kind": "segment", "id": segment_id, "name": segment_id, "when": when}
    await Definitions(rig.pool, PARTITIONS).put(parse_segment(document))


async def test_they_stand_in_the_stream_before_the_segment_that_needs_them(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await orders(rig)
        await rig.live(running.api, "top", TOP_SPENDERS)
        for q in range(PARTITIONS):
            rows = await PostgresTimeline(rig.pool).controls(q)
            assert [row.control for row in rows] == ["cut_points", "define", "activate"]
            assert _cuts(rows[0]).monetary == ("10", "30", "50", "70")
        assert rows[0].id.startswith("cut_points:r")
        assert rows[0].id.endswith(":1")
        assert await members(running, "top") == {"p8", "p9"}


async def test_while_postgres_is_away_nothing_counts_as_failed(
    rig: Rig, keeper: CutPointKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: Any, **limits: Any) -> Quintiles:
        raise asyncpg.AdminShutdownError("terminating connection due to administrator command")

    await put(rig, "top", TOP_SPENDERS)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(module, "quintiles", away)
        with pytest.raises(asyncpg.AdminShutdownError):
            await keeper.refresh()
    await keeper.refresh()
    assert [cuts.version for cuts in await posted(rig)] == [1]


async def test_of_the_real_orders_each_class_has_whom_plain_python_puts_into_it(rig: Rig) -> None:
    real = orders_of_the_sample()
    rig.time = max(order.at for order in real)
    for order in real:
        properties = {"products": [{"paid": float(amount)} for amount in order.paid]}
        await rig.event(order.customer, ts=order.at, properties=properties)
    dates: dict[str, list[int]] = {}
    for order in real:
        dates.setdefault(order.customer, []).append(order.at)
    recency, frequency = cuts_of(map(max, dates.values())), cuts_of(map(len, dates.values()))
    scores = {who: (score(max(own), recency), score(len(own), frequency)) for who, own in dates.items()}
    of = {"of": "properties.products[].paid"}
    async with rig.segmenter() as running:
        for name in RFM_CLASSES:
            await rig.live(running.api, name, {"rfm": {"class": name, **of}})
        for name, (latest, often) in RFM_CLASSES.items():
            expected = {who for who, (r, f) in scores.items() if r in latest and f in often}
            assert await members(running, name) == expected, name
        (item,) = (await running.api.get("/v1/rfm")).json()["items"]
        assert item["classes"] == {name: len(await members(running, name)) for name in RFM_CLASSES}
        assert (item["customers"], item["version"]) == (len(dates), 1)


async def test_an_hour_later_what_moved_is_posted_and_members_follow(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await orders(rig)
        await rig.live(running.api, "top", TOP_SPENDERS)
        began = rig.time
        for who in (0, 1):
            await buy(rig, who, 1_000)
        await eventually(lambda: _are(running, "top", {"p0", "p1", "p8", "p9"}))
        rig.time = began + HOUR - 1
        await running.service.cut_points.refresh()
        assert [cuts.version for cuts in await posted(rig)] == [1]
        rig.time = began + HOUR
        await running.service.cut_points.refresh()
        first, second = await posted(rig)
        assert (second.version, second.at, second.population) == (2, began + HOUR, first.population)
        assert second.monetary == ("30", "50", "70", "90")
        await eventually(lambda: _are(running, "top", {"p0", "p1"}))


async def test_unchanged_cut_points_are_not_posted_again(rig: Rig, keeper: CutPointKeeper) -> None:
    await orders(rig, lost=True)
    await put(rig, "top", TOP_SPENDERS)
    await keeper.refresh()
    before = rig.time
    rig.time += HOUR
    await keeper.refresh()
    assert [cuts.version for cuts in await posted(rig)] == [1]
    (present,) = (await keeper.present(await keeper.in_use())).values()
    assert (present.cuts.at, present.computed_at, present.customers) == (before, before + HOUR, 10)


async def test_a_window_moves_them_without_an_event(rig: Rig, keeper: CutPointKeeper) -> None:
    await orders(rig, lost=True)
    await put(rig, "year", YEAR)
    await keeper.refresh()
    rig.time += 365 * 24 * HOUR - 6  # five of ten orders are out
    await keeper.refresh()
    first, second = await posted(rig)
    start = first.at - 10
    assert first.recency == tuple(start + number for number in (1, 3, 5, 7))
    assert second.recency == tuple(start + number for number in (5, 6, 7, 8))


async def test_the_populations_of_deleted_and_replaced_definitions_are_not_computed(
    rig: Rig, keeper: CutPointKeeper
) -> None:
    await put(rig, "top", TOP_SPENDERS)
    await put(rig, "year", YEAR)
    await put(rig, "champions", CHAMPIONS)
    await put(rig, "named-rfm", {"event": {"name": "rfm"}})
    year, lifetime = await keeper.in_use()
    assert await keeper.in_use() == {lifetime: ["champions", "top"], year: ["year"]}
    await put(rig, "top", {"event": {"name": "A"}})
    await Definitions(rig.pool, PARTITIONS).change("champions", "delete")
    await Definitions(rig.pool, PARTITIONS).change("year", "pause")
    assert await keeper.in_use() == {year: ["year"]}
    await keeper.refresh()
    assert [cuts.population for cuts in await posted(rig)] == [year.text]


async def test_what_another_process_has_put_is_found(rig: Rig, keeper: CutPointKeeper) -> None:
    running = asyncio.create_task(keeper.run())
    try:
        await put(rig, "top", TOP_SPENDERS)

        async def is_posted() -> bool:
            return len(await posted(rig)) == 1

        await eventually(is_posted)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_segmenter_computes_what_is_due_when_it_starts(rig: Rig) -> None:
    await orders(rig)
    await put(rig, "top", TOP_SPENDERS)
    async with rig.segmenter() as running:
        await eventually(lambda: _are(running, "top", {"p8", "p9"}))


async def test_two_processes_compute_once(rig: Rig, keeper: CutPointKeeper) -> None:
    await orders(rig, lost=True)
    await put(rig, "top", TOP_SPENDERS)
    definition = parse_segment({"kind": "segment", "id": "x", "name": "X", "when": CHAMPIONS})
    await asyncio.gather(*(keeper.prepare(definition) for _ in range(4)), keeper.refresh())
    assert [cuts.version for cuts in await posted(rig)] == [1]
    assert await rig.pool.fetchval("SELECT count(*) FROM cut_points") == 1


async def test_while_another_process_computes_a_put_does_not_wait_for_long(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    async with rig.segmenter() as running:
        await orders(rig)
        async with rig.pool.acquire() as connection, connection.transaction():
            await connection.execute(module._LOCK)
            document = {"kind": "segment", "name": "Top", "when": TOP_SPENDERS}
            assert (await running.api.put("/v1/segments/top", json=document)).status_code == 200
            await running.service.cut_points.refresh()
            busy = await running.api.post("/v1/rfm/compute")
            assert (busy.status_code, busy.json()["code"]) == (503, "busy")
            assert await posted(rig) == []
        await running.service.cut_points.refresh()
        await eventually(lambda: _are(running, "top", {"p8", "p9"}))
        assert [cuts.version for cuts in await posted(rig)] == [1]


async def test_a_population_that_fails_stops_no_other_and_waits_an_hour(
    rig: Rig, keeper: CutPointKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(rig, "top", TOP_SPENDERS)
    await put(rig, "year", YEAR)
    failing, other = await keeper.in_use()
    asked = []

    async def slow(connection: Any, population: Population, at: int, **limits: Any) -> Quintiles:
        asked.append(population)
        if population == failing:
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        return await quintiles(connection, population, at, **limits)

    monkeypatch.setattr(module, "quintiles", slow)
    for _ in range(2):
        await keeper.refresh()
    assert asked == [failing, other]
    assert [cuts.population for cuts in await posted(rig)] == [other.text]
    rig.time += HOUR
    await keeper.refresh()
    assert asked[2:] == [failing, other]


async def test_the_metric_is_the_age_of_the_oldest(rig: Rig) -> None:
    async with rig.segmenter() as running:
        assert "headrace_cut_points_age_seconds 0.0" in (await running.api.get("/metrics")).text
        await rig.live(running.api, "top", TOP_SPENDERS)
        rig.time += 600_000
        await rig.live(running.api, "year", YEAR)
        rig.time += 5_000
        await running.service.cut_points.refresh()
        assert "headrace_cut_points_age_seconds 605.0" in (await running.api.get("/metrics")).text


def _cuts(row: ControlRow) -> CutPoints:
    return msgspec.json.decode(row.payload, type=CutPoints)


async def _are(running: Running, segment_id: str, expected: set[str]) -> bool:
    return await members(running, segment_id) == expected
