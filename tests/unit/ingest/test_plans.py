"""A source's plan in the service: counted, shown, blocked; other sources and paths as ever."""

from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from services.ingest.plan import Violation
from services.ingest.settings import load_settings
from services.ingest.violations import MAX_KEPT, Violations
from tests.unit.ingest.service import ENVIRONMENT, WEB_KEY, Ingest, start_ingest

ADMIN = {"Authorization": "Bearer admin"}
PLAN = """
kind: plan
source: web
unplanned: {unplanned}
on_violation: {on_violation}
events:
  Order Completed: {{required: [order_id], properties: {{total: number}}}}
"""
SECRET = "jana@example.com"


def write(folder: Path, on_violation: str = "block", unplanned: str = "allow", name: str = "web.yaml") -> str:
    (folder / name).write_text(PLAN.format(on_violation=on_violation, unplanned=unplanned), encoding="utf-8")
    return str(folder)


def order(message_id: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": "u1",
        "messageId": message_id,
        "properties": properties,
    }


async def shown(ingest: Ingest, **query: str) -> list[dict[str, Any]]:
    answer = await ingest.client.get("/v1/plans/violations", params=query, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def counted(ingest: Ingest) -> list[str]:
    text = (await ingest.client.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("headrace_plan_violations_total{")]


async def test_what_is_blocked_is_a_dead_letter_and_the_rest_of_the_batch_goes_on(tmp_path: Path) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path))
    batch = [order("m1", order_id="1", total=5), order("m2", total=SECRET), order("m3", order_id="3")]
    answer = await ingest.post("/v1/batch", {"batch": batch}, key=WEB_KEY)
    assert answer.json() == {
        "success": True,
        "accepted": 2,
        "rejected": [{"index": 1, "messageId": "m2", "code": "plan_violation"}],
    }
    assert sorted(event.message_id for event in ingest.events()) == ["m1", "m3"]
    (letter,) = ingest.dead_letters()
    assert (letter.reason, letter.message_id) == ("plan_violation", "m2")
    assert letter.detail == "The source's plan refuses Order Completed: order_id (missing), total (type)."
    assert await counted(ingest) == [
        'headrace_plan_violations_total{event="Order Completed",reason="missing",source="web"} 1.0',
        'headrace_plan_violations_total{event="Order Completed",reason="type",source="web"} 1.0',
    ]
    items = await shown(ingest)
    assert [(item["property"], item["reason"], item["count"], item["blocked"]) for item in items] == [
        ("total", "type", 1, True),
        ("order_id", "missing", 1, True),
    ]
    assert SECRET not in str(items)


@pytest.mark.parametrize("extra", [{}, {"context": {"externalIds": [{"type": "card", "id": "1"}]}}])
async def test_what_is_counted_goes_its_way(tmp_path: Path, extra: dict[str, Any]) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path, on_violation="count"))
    for number in range(3):
        await ingest.accepted("/v1/track", {**order(f"m{number}"), **extra}, key=WEB_KEY)
    (item,) = await shown(ingest, source="web", event="Order Completed")
    assert (item["count"], item["last_message_id"], item["blocked"]) == (3, "m2", False)
    assert await shown(ingest, source="default") == []


async def test_a_blocked_single_event_is_answered_like_one_of_a_batch(tmp_path: Path) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path))
    answer = await ingest.post("/v1/track", order("m1"), key=WEB_KEY)
    assert answer.status_code == 200
    assert answer.json()["rejected"] == [{"index": 0, "messageId": "m1", "code": "plan_violation"}]


async def test_another_source_sends_what_it_likes(tmp_path: Path) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path, unplanned="block"))
    await ingest.accepted("/v1/track", order("m1"))
    answer = await ingest.post("/v1/track", {**order("m2"), "event": "Nobody Planned This"}, key=WEB_KEY)
    assert answer.json()["rejected"][0]["code"] == "plan_violation"
    assert await counted(ingest) == [
        'headrace_plan_violations_total{event="(unplanned)",reason="unplanned",source="web"} 1.0'
    ]


async def test_a_replay_is_held_to_the_plan_of_then(tmp_path: Path) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path))
    await ingest.post("/v1/track", order("m1"), key=WEB_KEY)
    replay = {"reason": "plan_violation"}
    answer = await ingest.client.post("/v1/dead-letters/replay", json=replay, headers=ADMIN)
    assert [(item["outcome"], item["reason"]) for item in answer.json()["items"]] == [
        ("refused", "plan_violation")
    ]
    mended = await start_ingest(ingest.log, HEADRACE_PLANS=write(tmp_path, on_violation="count"))
    answer = await mended.client.post("/v1/dead-letters/replay", json=replay, headers=ADMIN)
    assert [item["outcome"] for item in answer.json()["items"]] == ["accepted"]


async def test_the_plans_in_force_are_shown_to_operators_only(tmp_path: Path) -> None:
    ingest = await start_ingest(HEADRACE_PLANS=write(tmp_path))
    answer = await ingest.client.get("/v1/plans", headers=ADMIN)
    (item,) = answer.json()["items"]
    assert (item["source"], item["events"]["Order Completed"]["required"]) == ("web", ["order_id"])
    for path in ("/v1/plans", "/v1/plans/violations"):
        refused = await ingest.client.get(path, headers={"Origin": "https://shop.example"})
        assert refused.status_code == 401
        assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAN.format(unplanned="allow", on_violation="blok"), "on_violation: Input should be"),
        (PLAN.format(unplanned="allow", on_violation="block").replace("web", "wbe"), "did you mean web"),
        (f"{PLAN}---{PLAN}".format(unplanned="allow", on_violation="block"), "web has a plan already"),
        ("kind: [", "check indentation"),
    ],
)
def test_a_wrong_plan_ends_the_start_and_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message) as found:
        load_settings(Environment({**ENVIRONMENT, "HEADRACE_PLANS": str(file)}))
    assert "plan.yaml" in str(found.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"HEADRACE_PLANS: .*no\.yaml cannot be read"):
        load_settings(Environment({**ENVIRONMENT, "HEADRACE_PLANS": str(tmp_path / "no.yaml")}))


def test_what_is_kept_is_bounded() -> None:
    violations = Violations()
    for number in range(MAX_KEPT + 5):
        one = Violation(f"E{number}", "", "unplanned")
        violations.add("web", one, blocked=False, message_id="m", at=number)
    kept = list(violations.newest())
    assert (len(kept), kept[0].event, kept[-1].event) == (MAX_KEPT, f"E{MAX_KEPT + 4}", "E5")
