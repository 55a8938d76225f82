"""A source's plan holds for what is served directly as it does by ASGI."""

import json
from typing import Any

import pytest

from headrace.contracts.plan import parse_plan
from services.ingest.plan import Plan
from tests.unit.ingest.wire import EVENT, WAYS, WEB, Side, request

NAME = EVENT["event"]


@pytest.mark.parametrize("on_violation", ["count", "block"])
@pytest.mark.parametrize(("plan_of", "violated"), [("a", False), (7, True)])
async def test_both_ways_hold_an_event_to_its_plan(on_violation: str, plan_of: Any, violated: bool) -> None:
    events = {NAME: {"required": ["plan"], "properties": {"plan": "string"}}}
    definition = parse_plan({"kind": "plan", "source": "web", "on_violation": on_violation, "events": events})
    body = json.dumps({**EVENT, "properties": {"plan": plan_of}}).encode()
    sent = [(request(body, [b"Authorization: " + WEB]), True)]
    sides = [await Side.start(way, plans={"web": Plan(definition)}) for way in WAYS]
    ordinary, direct = [await side.talk(sent) for side in sides]
    assert direct == ordinary
    landed, counted = direct[-2:]
    topics = [record[0] for record in landed]
    assert topics == ["cdp.dead-letters.v1" if violated and on_violation == "block" else "cdp.events.v1"]
    assert any("plan_violations_total{" in line for line in counted) is violated
