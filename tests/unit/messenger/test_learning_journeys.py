"""A split that is decided, from the first entry to those who come after the decision, on the real engine."""

from typing import Any

import pytest

from services.messenger.campaign_report import CampaignReports, Span
from services.messenger.definitions import Definitions
from services.messenger.learning import Splits
from tests.unit.messenger.rig import START, Rig, campaign
from tests.unit.messenger.test_journeys import HOUR, SEND, Town

SPLIT = {
    "split": {
        "variants": {"a": {"steps": [SEND]}, "b": {"steps": [SEND, {"tag": {"name": "b"}}]}},
        "winner": {"metric": "conversion", "after": "1h", "confidence": 0.9},
    }
}
GOAL = {"event": "Order Completed", "within": "3d"}


@pytest.fixture
async def town(rig: Rig) -> Any:
    async with rig.running("follow") as messenger:
        yield Town(rig, messenger)


async def ways(rig: Rig) -> dict[str, str]:
    rows = await rig.pool.fetch("SELECT entry_id, variants ->> '0' AS way FROM entry")
    return {row["entry_id"]: row["way"] for row in rows}


async def test_those_who_come_after_the_decision_take_the_winner(town: Town) -> None:
    rig = town.rig
    await rig.define(campaign(goal=GOAL, steps=[SPLIT, {"wait": "5d"}, SEND]))
    for number in range(40):
        await rig.customer(f"p{number}")
        await town.enters(f"p{number}", f"e{number}")
    drawn = await ways(rig)
    assert set(drawn.values()) == {"a", "b"}
    splits = Splits(rig.pool, Definitions(rig.pool))
    await splits.look(START)
    for entry, way in drawn.items():
        if way == "b":
            await town.does(f"p{entry[1:]}", "Order Completed", total=100, currency="CZK")
    await town.at(START + HOUR)
    (decided,) = await splits.look(START + HOUR)
    assert (decided.variant, decided.outcome) == ("b", "better")

    for number in range(40, 60):
        await rig.customer(f"p{number}")
        await town.enters(f"p{number}", f"e{number}")
    after = {entry: way for entry, way in (await ways(rig)).items() if entry not in drawn}
    assert len(after) == 20
    assert set(after.values()) == {"b"}

    report = await CampaignReports(rig.pool, Definitions(rig.pool)).report("welcome", 2, Span())
    converted = sum(way == "b" for way in drawn.values())
    assert report["journeys"]["converted"] == report["journeys"]["goal_reached"] == converted
    assert report["journeys"]["revenue"] == {
        "CZK": {"total": 100 * converted, "orders": converted, "average_order_value": 100.0}
    }
    assert report["messages"]["sent"] == 60
    (split,) = report["splits"]
    assert (split["state"], split["winner"]) == ("decided", "b")
