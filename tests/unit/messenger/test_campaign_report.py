"""A campaign's report, against an oracle over random ledgers."""

import csv
import io
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from statistics import mean, variance
from typing import Any

import httpx
import pytest

from headrace.contracts.instant import format_instant
from services.messenger.campaign_report import CampaignReports, Span
from services.messenger.definitions import Definitions
from services.messenger.learning import Splits
from services.messenger.stats import t_quantile
from tests.unit.messenger import report_oracle as oracle
from tests.unit.messenger.ledger_rows import entry, message, write
from tests.unit.messenger.rig import START, TOKEN, Rig, campaign

SEND = {"send": {"channels": ["email", "sms"], "templates": {"email": "hello-mail", "sms": "hello"}}}
SPLIT = {"split": {"variants": {"a": {"steps": [SEND]}, "b": {"steps": [SEND, {"wait": "1d"}, SEND]}}}}
BRANCH = {"branch": {"if": {"segment": {"id": "vip"}}, "then": [SEND], "else": []}}
CAMPAIGN = campaign(
    goal={"event": "Order Completed", "within": "3d", "target": 2},
    holdout="20%",
    steps=[SPLIT, {"wait": "1d"}, BRANCH, *[{"tag": {"name": "x"}}] * 8, SEND],
)
STEPS = ("0.a.0", "0.b.0", "0.b.2", "2.then.0", "11")
REASONS: dict[str, list[str | None]] = {
    "refused": ["entry_too_old", "re_entry"],
    "exited": ["segment_exited", "exit_event", None],
    "cancelled": ["erased", "campaign_deleted"],
    "failed": ["rejected", "invalid_to", None],
    "skipped": ["no_consent", "preference", "frequency_cap"],
}
ENTRY_STATUSES = ("active", "done", "exited", "converted", "holdout", "refused", "cancelled")
MESSAGE_STATUSES = ("pending", "claimed", "accepted", "delivered", "failed", "bounced", "skipped", "unknown")


def some_entries(chance: random.Random, count: int) -> list[dict[str, Any]]:
    found = []
    for number in range(count):
        status = chance.choice(ENTRY_STATUSES)
        ways = {}
        if status not in ("holdout", "refused"):
            ways = {"0": chance.choice("ab")} | (
                {"2": chance.choice(["then", "else"])} if chance.random() < 0.5 else {}
            )
        orders = chance.choice([0, 0, 1, 2])
        found.append(
            entry(
                f"e{number}",
                campaign_version=2,
                profile_id=f"p{chance.randrange(count)}",
                entered_at=START + number,
                status=status,
                reason=chance.choice(REASONS.get(status, [None])),
                variants=ways,
                goals=orders,
                orders=orders,
                converted_at=START if orders == 2 else None,
                revenue=Decimal(chance.randrange(100_000)) / 100 if orders else None,
                currency=chance.choice(["CZK", "EUR", None]) if orders else None,
            )
        )
    return found


def some_messages(chance: random.Random, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def at(probability: float) -> int | None:
        return START if chance.random() < probability else None

    found = []
    for one in entries:
        if one["status"] in ("holdout", "refused"):
            continue
        for step in chance.sample(STEPS, chance.randrange(4)):
            for channel in chance.sample(["email", "sms"], chance.choice([1, 1, 2])):
                status = chance.choice(MESSAGE_STATUSES)
                found.append(
                    message(
                        one["entry_id"],
                        step,
                        campaign_version=2,
                        profile_id=one["profile_id"],
                        channel=channel,
                        status=status,
                        reason=chance.choice(REASONS.get(status, [None])),
                        provider_message_id=chance.choice([None, "x"]),
                        parts=chance.choice([None, 1, 3]),
                        cost=chance.choice([None, Decimal("0.35"), Decimal("1.05")]),
                        missing=chance.choice([[], ["profile.traits.city"], ["event.a", "event.b"]]),
                        delivered_at=at(0.3),
                        opened_at=at(0.3),
                        machine_opened_at=at(0.3),
                        clicked_at=at(0.2),
                        unsubscribed_at=at(0.1),
                        complained_at=at(0.05),
                    )
                )
    return found


async def reported(rig: Rig, span: Span | None = None) -> dict[str, Any]:
    return await CampaignReports(rig.pool, Definitions(rig.pool)).report("welcome", 2, span or Span())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("part", [False, True])
async def test_every_figure_is_what_the_rows_say(rig: Rig, seed: int, part: bool) -> None:
    chance = random.Random(seed)
    await rig.define(CAMPAIGN)
    entries = some_entries(chance, 250)
    sent = some_messages(chance, entries)
    await write(rig.pool, entries, sent)
    strange = entry("other", campaign_id="elsewhere", status="active")
    await write(rig.pool, [strange], [message("other", "0", campaign_id="elsewhere")])

    span = Span(START + 50, START + 150) if part else Span()
    if part:
        entries = entries[50:150]
    keys = {one["entry_id"] for one in entries}
    sent = [one for one in sent if one["entry_id"] in keys]
    report = await reported(rig, span)

    assert report["journeys"] == oracle.journeys(entries)
    assert report["entered"] == report["journeys"]["entered"]
    assert report["messages"] == oracle.messages(sent) | oracle.reached(entries, sent)
    assert report["statuses"] == {s: n for s in MESSAGE_STATUSES if (n := sum(m["status"] == s for m in sent))}
    assert report["missing"] == oracle.missing(sent)
    for part_name, name in (("channels", "channel"), ("steps", "step")):
        expected = [
            {name: value, **oracle.messages(own), **oracle.reached(entries, own)}
            for value, own in by(sent, lambda one, name=name: one[name])
        ]
        assert report[part_name] == expected
    ways = sorted({way for one in entries for way in one["variants"].items()})
    assert [(one["path"], one["variant"]) for one in report["variants"]] == ways
    for shown in report["variants"]:
        own = [one for one in entries if one["variants"].get(shown["path"]) == shown["variant"]]
        ids = {one["entry_id"] for one in own}
        assert shown["kind"] == ("split" if shown["path"] == "0" else "branch")
        assert shown["journeys"] == oracle.journeys(own)
        assert shown["messages"] == oracle.messages([one for one in sent if one["entry_id"] in ids])
    check_goal_and_uplift(report, entries)


def by(rows: list[dict[str, Any]], key: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    order = {name: at for at, name in enumerate(["email", "sms", *STEPS])}
    return [
        (value, [one for one in rows if key(one) == value])
        for value in sorted({key(one) for one in rows}, key=lambda v: order[v])
    ]


def check_goal_and_uplift(report: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    treated = [one for one in entries if one["status"] not in ("refused", "holdout")]
    goals = sum(one["goals"] for one in treated)
    assert report["goal"] == {
        "event": "Order Completed",
        "within": "3d",
        "target": 2,
        "begun": sum(one["goals"] > 0 for one in treated),
        "reached": sum(one["converted_at"] is not None for one in treated),
        "events": goals,
        "progress": oracle.share(goals, 2 * len(treated)),
    }
    uplift = report["uplift"]
    assert uplift["treated"] == oracle.people(entries, held=False)
    assert uplift["holdout"] == oracle.people(entries, held=True)
    for currency in ("CZK", "EUR"):
        one, base = (oracle.amounts(entries, held, currency) for held in (False, True))
        shown = uplift["revenue_per_person"][currency]
        difference = mean(one) - mean(base)
        assert shown["difference"] == pytest.approx(float(difference), abs=1e-5)
        parts = [float(variance(values)) / len(values) for values in (one, base)]
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(one) - 1) + parts[1] ** 2 / (len(base) - 1))
        margin = t_quantile(0.95, freedom) * sum(parts) ** 0.5
        assert shown["interval"] == pytest.approx(
            [float(difference) - margin, float(difference) + margin], abs=1e-4
        )


async def test_a_campaign_that_nobody_entered_has_a_report(rig: Rig) -> None:
    report = await CampaignReports(rig.pool, Definitions(rig.pool)).report("welcome", 1, Span())
    assert (report["entered"], report["statuses"], report["uplift"], report["goal"]) == (0, {}, None, None)
    assert (report["journeys"]["conversion_rate"], report["messages"]["rates"]["opened"]) == (None, None)
    assert report["splits"] == []


async def test_an_effect_against_the_holdout_is_reported_with_its_interval(rig: Rig) -> None:
    await rig.define(CAMPAIGN)
    await write(
        rig.pool,
        [
            entry(f"{status}{n}", profile_id=f"{status}{n}", campaign_version=2, status=status, converted_at=at)
            for status, rate in (("done", 0.24), ("holdout", 0.2))
            for n in range(2000)
            for at in [START if n < rate * 2000 else None]
        ],
    )
    uplift = (await reported(rig))["uplift"]
    assert (uplift["effect"], uplift["interval_level"], uplift["relative"]) == (
        "positive",
        0.9,
        pytest.approx(0.2),
    )
    assert 0 < uplift["interval"][0] < 0.04 < uplift["interval"][1] < 0.07
    assert uplift["extra_conversions"] == pytest.approx(80)
    assert uplift["p_value"] < 0.05
    assert 0.2 < uplift["detectable_rate"] < 0.24


async def test_a_splits_statistics_are_shown_until_and_as_they_were_decided(rig: Rig) -> None:
    winner = {"metric": "clicks", "after": "1h"}
    contested = {"split": {**SPLIT["split"], "winner": winner}}
    plain: dict[str, Any] = {"split": {"variants": {"x": {"steps": []}, "y": {"steps": []}}}}
    await rig.define(campaign(steps=[contested, plain]))
    assert [one["state"] for one in (await reported(rig))["splits"]] == ["waiting", "open"]

    await write(
        rig.pool,
        [
            entry(f"{way}{n}", profile_id=f"{way}{n}", campaign_version=2, variants={"0": way, "1": "x"})
            for way in "ab"
            for n in range(200)
        ],
        [message(f"b{n}", "0.b.0", clicked_at=START) for n in range(50)],
    )
    splits = Splits(rig.pool, Definitions(rig.pool))
    await splits.look(START)
    running, plainly = (await reported(rig))["splits"]
    assert (running["state"], running["winner"], running["decides_at"]) == (
        "running",
        None,
        format_instant(START + 3_600_000),
    )
    assert running["statistics"]["variants"]["b"] == {"people": 200, "hits": 50, "rate": 0.25}
    assert plainly["statistics"]["metric"] == "conversion"
    assert plainly["statistics"]["variants"]["x"]["people"] == 400

    await splits.look(START + 3_600_000)
    await write(rig.pool, [entry("late", campaign_version=2, variants={"0": "b"})])
    decided, _ = (await reported(rig))["splits"]
    assert (decided["state"], decided["winner"]) == ("decided", "b")
    assert decided["statistics"]["variants"]["b"] == {"people": 200, "hits": 50, "rate": 0.25}
    assert decided["statistics"]["comparisons"][0]["is_better"]


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    messenger = await rig.assemble()
    transport = httpx.ASGITransport(messenger.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as client:
        yield client


async def test_the_report_as_a_table(rig: Rig, client: httpx.AsyncClient) -> None:
    chance = random.Random(1)
    await rig.define({**CAMPAIGN, "goal": {"event": "=SUM(A1)", "within": "1d"}})
    entries = some_entries(chance, 100)
    sent = some_messages(chance, entries)
    sent[0]["missing"] = ["=HYPERLINK(1)", 'a,b"c\nd']
    await write(rig.pool, entries, sent)
    answer = await client.get("/v1/campaigns/welcome/report", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="campaign-welcome.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["part", "name", "figure", "value"]
    report = (await client.get("/v1/campaigns/welcome/report")).json()
    table = {tuple(row[:3]): row[3] for row in rows[1:]}
    assert len(table) == len(rows) - 1
    assert table["campaign", "", "entered"] == str(report["entered"])
    assert table["channel", "sms", "sent"] == str(
        next(c["sent"] for c in report["channels"] if c["channel"] == "sms")
    )
    assert table["campaign", "", "uplift.interval.0"] == str(report["uplift"]["interval"][0])
    assert ("variant", "0 b", "journeys.entered") in table
    assert table["campaign", "", "missing.=HYPERLINK(1)"] == "1"
    assert table["campaign", "", "goal.event"] == "'=SUM(A1)"
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]


async def test_entries_of_a_span_of_time(rig: Rig, client: httpx.AsyncClient) -> None:
    await write(rig.pool, [entry(f"e{n}", entered_at=START + n * 86_400_000) for n in range(4)])
    days = {"from": format_instant(START + 86_400_000), "to": format_instant(START + 3 * 86_400_000)}
    report = (await client.get("/v1/campaigns/welcome/report", params=days)).json()
    assert (report["entered"], report["from"], report["to"]) == (2, days["from"], days["to"])
    assert (await client.get("/v1/campaigns/welcome/report", params={"from": "2023-11-15"})).json()["entered"] == 3
    wrong = await client.get("/v1/campaigns/welcome/report", params={"from": "yesterday"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_request")
    assert "2026-11-27" in wrong.json()["message"]
    assert (await client.get("/v1/campaigns/nobody/report")).status_code == 404


async def test_journeys_are_listed_without_repeats(rig: Rig, client: httpx.AsyncClient) -> None:
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('old', 'p9')")
    await write(
        rig.pool,
        [
            entry(f"e{n}", entered_at=START + n // 2, status="active" if n % 3 else "exited", profile_id="old",
                  variants={"0": "a"}, step="1", due_at=START + 5, reason=None if n % 3 else "exit_event")
            for n in range(10)
        ],
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (
            await client.get(
                "/v1/campaigns/welcome/journeys", params={"limit": 3} | ({"cursor": cursor} if cursor else {})
            )
        ).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [one["id"] for one in found] == [f"e{n}" for n in reversed(range(10))]
    assert found[0]["profile_id"] == "p9"
    assert (found[0]["variants"], found[0]["step"], found[0]["due_at"]) == (
        {"0": "a"},
        "1",
        format_instant(START + 5),
    )
    exited = (await client.get("/v1/campaigns/welcome/journeys", params={"status": "exited"})).json()
    assert {one["reason"] for one in exited["items"]} == {"exit_event"}
    assert len(exited["items"]) == 4
    for wrong in ({"status": "gone"}, {"cursor": "%%%"}):
        assert (await client.get("/v1/campaigns/welcome/journeys", params=wrong)).status_code == 400
    assert (await client.get("/v1/campaigns/nobody/journeys")).status_code == 404
