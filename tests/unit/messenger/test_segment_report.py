"""A segment's report over a real timeline, against an oracle in plain Python."""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from statistics import mean, median
from typing import Any

import httpx
import pytest

from services.messenger.segment_report import SegmentReports
from services.messenger.segmenter import AudienceMember, Segmenter, SegmenterUnavailable, UnknownSegment
from tests.unit.messenger.rig import START, TOKEN, Rig

DAY = 86_400_000


class Audience:
    """Members as a test says, three a page."""

    def __init__(self, members: Sequence[AudienceMember]) -> None:
        self._members = sorted(members, key=lambda member: member.profile_id)

    async def audience(self, segment_id: str, cursor: str | None) -> tuple[Sequence[AudienceMember], str | None]:
        page = [member for member in self._members if member.profile_id > (cursor or "")][:3]
        return page, page[-1].profile_id if len(page) == 3 else None


async def tell(rig: Rig, rows: Sequence[dict[str, Any]]) -> None:
    columns = (
        "partition",
        "seq",
        "epoch",
        "time",
        "low",
        "profile_id",
        "kind",
        "event",
        "ts",
        "source",
        "message_id",
        "payload",
    )
    records = [
        (
            *(
                0,
                number,
                1,
                row["ts"],
                row["ts"],
                row["profile_id"],
                row.get("kind", "event"),
                row["event"],
                row["ts"],
            ),
            *(row.get("source", "web"), f"m{number}", row.get("payload", payload(row))),
        )
        for number, row in enumerate(rows)
    ]
    async with rig.pool.acquire() as connection:
        await connection.copy_records_to_table(
            "timeline_v1", schema_name="profiles", records=records, columns=list(columns)
        )


def payload(row: dict[str, Any]) -> str:
    return json.dumps({"kind": "event", "seq": 1, "properties": row.get("properties", {}), "event": row["event"]})


async def reported(rig: Rig, members: Sequence[AudienceMember], *, now: int, **how: int) -> dict[str, Any]:
    return await SegmentReports(rig.pool, Audience(members), clock=lambda: now).report(
        "vip", how.pop("months", 6), **how
    )


def some_town(chance: random.Random) -> tuple[list[AudienceMember], dict[str, str], list[dict[str, Any]]]:
    """Members, who was merged into whom, and everybody's rows."""
    members = [
        AudienceMember(f"p{n:02}", f"e{n}", None if n % 9 == 0 else START + chance.randrange(150) * DAY)
        for n in range(20)
    ]
    roots = {f"old{n:02}": f"p{n:02}" for n in range(0, 20, 3)}
    everybody = [member.profile_id for member in members] + list(roots) + ["stranger"]
    rows = []
    for number in range(600):
        event = chance.choice(["Page Viewed", "Order Completed", "Order Refunded", "Order Cancelled", "SMS Sent"])
        row: dict[str, Any] = {
            "profile_id": chance.choice(everybody),
            "event": event,
            "ts": START + chance.randrange(250) * DAY + number,
            "source": "headrace.messenger" if event == "SMS Sent" else "web",
            "properties": {"order_id": str(chance.randrange(150))},
        }
        if event != "Order Refunded" or chance.random() < 0.5:
            row["properties"] |= {
                "total": str(chance.randrange(1, 9999) / 100),
                "currency": chance.choice(["CZK", "EUR"]),
            }
        rows.append(row)
    return members, roots, rows


@pytest.mark.parametrize("seed", range(3))
async def test_every_figure_is_what_the_rows_say(rig: Rig, seed: int) -> None:
    members, roots, rows = some_town(random.Random(seed))
    await tell(rig, rows)
    await rig.pool.executemany("INSERT INTO profiles.alias_v1 VALUES ($1, $2)", list(roots.items()))
    now = START + 200 * DAY
    report = await reported(rig, members, now=now)
    own: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["ts"]):
        own[roots.get(row["profile_id"], row["profile_id"])].append(row)
    assert (report["members"], report["is_sample"]) == (20, False)
    assert report["entered_unknown"] == 3
    check_cohorts(report, members, own, now)
    check_value(report, members, own)


def check_cohorts(report: dict[str, Any], members: list[AudienceMember], own: Any, now: int) -> None:
    expected: dict[str, list[set[int]]] = defaultdict(list)
    for member in members:
        if member.entered_at is None:
            continue
        begun = moment(member.entered_at)
        after = [
            moment(r["ts"]) for r in own[member.profile_id] if r["ts"] > member.entered_at and r["source"] == "web"
        ]
        months = {(one.year - begun.year) * 12 + one.month - begun.month for one in after}
        expected[begun.strftime("%Y-%m")].append(months)
    assert [one["month"] for one in report["cohorts"]] == sorted(expected)
    for cohort in report["cohorts"]:
        those = expected[cohort["month"]]
        assert cohort["members"] == len(those)
        begun, today = datetime.fromisoformat(f"{cohort['month']}-01"), moment(now)
        so_far = min((today.year - begun.year) * 12 + today.month - begun.month, 6)
        assert [one["active"] for one in cohort["retention"]] == [
            sum(number in each for each in those) for number in range(so_far + 1)
        ]


def check_value(report: dict[str, Any], members: list[AudienceMember], own: Any) -> None:
    for currency in ("CZK", "EUR"):
        spent = [sum(orders_of(own[member.profile_id], currency).values(), Decimal(0)) for member in members]
        shown = next(one for one in report["lifetime_value"] if one["currency"] == currency)
        assert shown["revenue"] == pytest.approx(float(sum(spent)))
        assert shown["mean"] == pytest.approx(float(mean(spent)), abs=1e-4)
        assert shown["median"] == pytest.approx(float(median(spent)), abs=1e-4)
        assert shown["orders"] == sum(len(orders_of(own[member.profile_id], currency)) for member in members)


def orders_of(rows: list[dict[str, Any]], currency: str) -> dict[str, Decimal]:
    """Of one customer: order id to what is left of it."""
    found: dict[str, tuple[str, Decimal]] = {}
    for row in rows:
        if row["event"] == "Order Completed" and row["properties"]["order_id"] not in found:
            found[row["properties"]["order_id"]] = (
                row["properties"]["currency"],
                Decimal(row["properties"]["total"]),
            )
    left = {key: value for key, (own, value) in found.items() if own == currency}
    for row in rows:
        key, total = row["properties"]["order_id"], row["properties"].get("total")
        if row["event"] == "Order Cancelled" or (row["event"] == "Order Refunded" and total is None):
            left.pop(key, None)
        elif row["event"] == "Order Refunded" and key in left:
            left[key] -= Decimal(total)
    return {key: value for key, value in left.items() if value > 0}


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


async def test_more_members_than_are_read_are_a_sample(rig: Rig) -> None:
    members = [AudienceMember(f"p{n}", "e", START) for n in range(7)]
    for most, is_sample in ((6, True), (7, False), (5, True), (20, False)):
        report = await reported(rig, members, now=START, most=most)
        assert (report["members"], report["is_sample"]) == (min(most, 7), is_sample)


async def test_what_was_redacted_is_passed_over(rig: Rig) -> None:
    rows = [
        {"profile_id": "p", "event": "Order Completed", "ts": START + 1, "payload": '{"kind":"redacted"}'},
        {"profile_id": "p", "event": "Order Completed", "ts": START + 2, "payload": ""},
        {"profile_id": "p", "event": "Order Completed", "ts": START + 3, "properties": {"total": 5}},
    ]
    await tell(rig, rows)
    report = await reported(rig, [AudienceMember("p", "e", START)], now=START)
    (value,) = report["lifetime_value"]
    assert (value["currency"], value["revenue"]) == ("unknown", 5)


async def test_an_empty_segment_has_a_report(rig: Rig) -> None:
    report = await reported(rig, [], now=START)
    assert (report["members"], report["cohorts"], report["lifetime_value"]) == (0, [], [])


async def test_over_http(rig: Rig) -> None:
    rig.segmenter.members["vip"] = {"p1", "p2", "p3"}
    await tell(rig, [{"profile_id": "p1", "event": "Page Viewed", "ts": START + DAY}])
    messenger = await rig.assemble()
    transport = httpx.ASGITransport(messenger.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as client:
        report = (await client.get("/v1/segments/vip/report")).json()
        assert report["members"] == 3
        assert report["cohorts"][0]["retention"] == [{"month": 0, "active": 1, "share": 0.333333}]
        missing = await client.get("/v1/segments/nobody/report")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert (await client.get("/v1/segments/vip/report", params={"months": 61})).status_code == 400
        rig.segmenter.silent = True
        silent = await client.get("/v1/segments/vip/report")
        assert (silent.status_code, silent.json()["code"]) == (503, "unavailable")


async def test_members_are_read_as_the_segmenter_writes_them() -> None:
    pages = {
        None: {"items": [member("p1", "2023-11-14T22:13:20.000Z"), member("p2", None)], "next": "p2"},
        "p2": {"items": [], "next": None},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/segments/vip/members":
            return httpx.Response(404 if "gone" in request.url.path else 500)
        return httpx.Response(200, json=pages[request.url.params.get("cursor")])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://segmenter") as client:
        segmenter = Segmenter(client)
        found, cursor = await segmenter.audience("vip", None)
        assert found == [AudienceMember("p1", "e", START), AudienceMember("p2", "e", None)]
        assert await segmenter.audience("vip", cursor) == ([], None)
        with pytest.raises(UnknownSegment):
            await segmenter.audience("gone", None)
        with pytest.raises(SegmenterUnavailable):
            await segmenter.audience("broken", None)


def member(profile_id: str, entered_at: str | None) -> dict[str, Any]:
    return {"profile_id": profile_id, "entry_id": "e", "version": 1, "entered_at": entered_at}
