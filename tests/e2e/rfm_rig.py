"""Orders, cut points and who is a member by them, for tests on the segmenter's rig."""

from typing import Any

import msgspec

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment_conditions import RfmTest
from services.segmenter.cut_points_sql import Quintiles, limit, quintiles
from services.segmenter.populations import population_of
from tests.e2e.segmenter_rig import T0, Rig, Running

CHAMPIONS = {"rfm": {"class": "champions"}}
TOP_SPENDERS = {"rfm": {"monetary": [5]}}
YEAR = {"not": {"rfm": {"recency": [5], "within": "365d"}}}


async def computed(rig: Rig, at: int = T0, **test: Any) -> Quintiles:
    population = population_of(RfmTest.model_validate({"recency": [5], **test}))
    async with rig.pool.acquire() as connection, connection.transaction():
        await limit(connection, seconds=30, lock_seconds=1)
        return await quintiles(connection, population, at, seconds=30)


async def buy(rig: Rig, who: int, total: int, *, lost: bool = False) -> None:
    await rig.event(f"p{who}", properties={"total": total}, lost=lost)
    rig.time += 1


async def orders(rig: Rig, *, lost: bool = False) -> None:
    """Ten customers: who came later bought for more."""
    for who in range(10):
        await buy(rig, who, 10 * who, lost=lost)


async def posted(rig: Rig) -> list[CutPoints]:
    """What was noted for the profile service, in order."""
    rows = await rig.pool.fetch("SELECT payload FROM control_request WHERE kind = 'cut_points' ORDER BY number")
    return [msgspec.json.decode(row["payload"], type=CutPoints) for row in rows]


async def members(running: Running, segment_id: str) -> set[str]:
    answer = await running.api.get(f"/v1/segments/{segment_id}/members")
    return {item["profile_id"] for item in answer.json()["items"]}
