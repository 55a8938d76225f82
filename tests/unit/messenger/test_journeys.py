"""Journeys on the real ledger: what is due is done once, whoever looks, whenever."""

import asyncio
from typing import Any

import msgspec
import pytest

from headrace.contracts.ids import send_id
from headrace.contracts.profile_event import ErasureRow, EventRow, MergeRow
from headrace.contracts.topics import PROFILE_EVENTS, SEGMENT_CHANGES, partition_of
from services.messenger.assembly import Messenger
from services.messenger.providers.choose import CHANNELS
from services.messenger.providers.port import Fallback, Refused
from services.messenger.runs import Runs
from services.messenger.sender import Sender
from tests.unit.messenger.rig import (
    MAIL,
    PARTITIONS,
    START,
    Rig,
    ScriptedProvider,
    by_outcome,
    campaign,
    eventually,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SEND = {"send": {"channel": "sms", "template": "hello"}}
SEND_MAIL = {"send": {"channel": "email", "template": "hello-mail"}}


def scripted(rig: Rig) -> ScriptedProvider:
    assert isinstance(rig.provider, ScriptedProvider)
    return rig.provider


async def applied(rig: Rig, topic: str, profile_id: str, seq: int) -> bool:
    return await rig.position(topic, partition_of(profile_id, PARTITIONS)) >= seq


async def settle(rig: Rig, messenger: Messenger) -> None:
    """Do all that is due at this instant, and nothing more."""
    while True:
        stepped = await messenger.journeys.step(100, rig.clock())
        for sender in messenger.senders:
            await drain(sender)
        later = await messenger.journeys.any_due(rig.clock()) or await something_due(rig, messenger)
        if stepped.due == 0 and not later:
            return


async def something_due(rig: Rig, messenger: Messenger) -> bool:
    looks = [await messenger.claims.any_due(channel, rig.clock()) for channel in CHANNELS]
    return any(looks)


async def drain(sender: Sender) -> None:
    more = True
    while more:
        more = await sender.claim_once()
        await sender.idle()


class Town:
    """A messenger that a test steps through time."""

    def __init__(self, rig: Rig, messenger: Messenger) -> None:
        self.rig = rig
        self.messenger = messenger
        self._applied: dict[tuple[str, int], int] = {}

    async def at(self, instant: int) -> None:
        self.rig.clock.now = instant
        await settle(self.rig, self.messenger)

    async def enters(self, profile_id: str, entry: str, **change: Any) -> None:
        await self.rig.enter(profile_id, entry, **change)
        await self._read(SEGMENT_CHANGES.name, profile_id)

    async def row(self, row: EventRow | MergeRow | ErasureRow) -> None:
        await self.rig.publish_row(row)
        await self._read(PROFILE_EVENTS.name, row.profile_id)

    async def does(self, profile_id: str, event: str, *, at: int | None = None, **properties: Any) -> None:
        number = sum(self._applied.values())
        await self.row(done(profile_id, event, f"m{number}", self.rig.clock() if at is None else at, properties))

    async def _read(self, topic: str, profile_id: str) -> None:
        q = partition_of(profile_id, PARTITIONS)
        self._applied[topic, q] = self._applied.get((topic, q), 0) + 1
        wanted = self._applied[topic, q]
        await eventually(lambda: applied(self.rig, topic, profile_id, wanted))
        await settle(self.rig, self.messenger)

    def texts(self) -> list[str]:
        return [message.text for message in scripted(self.rig).sent]

    async def entry(self) -> Any:
        (found,) = await self.rig.entries()
        return found

    async def fates(self) -> list[tuple[str, str, str | None]]:
        rows = await self.rig.pool.fetch(
            "SELECT step, status, reason FROM message ORDER BY created_at, step, alternative"
        )
        return [(row["step"], row["status"], row["reason"]) for row in rows]


def done(
    profile_id: str, event: str, message_id: str, ts: int, properties: dict[str, Any], *, imported: bool = False
) -> EventRow:
    return EventRow(
        seq=0,
        epoch=1,
        time=ts,
        low=ts,
        profile_id=profile_id,
        source="web",
        message_id=message_id,
        type="track",
        ts=ts,
        event=event,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        imported=imported,
    )


@pytest.fixture
async def town(rig: Rig) -> Any:
    await rig.customer("p1")
    async with rig.running("follow") as messenger:
        yield Town(rig, messenger)


async def test_steps_are_done_when_they_are_due_and_once(town: Town) -> None:
    await town.rig.define(MAIL, campaign(steps=[SEND, {"wait": "30m"}, SEND_MAIL]))
    await town.enters("p1", "e1")
    assert len(town.texts()) == 1
    assert (await town.entry())["due_at"] == START + 30 * MINUTE
    await town.at(START + 30 * MINUTE - 1)
    assert len(town.texts()) == 1
    await town.at(START + 30 * MINUTE)
    await town.at(START + 90 * MINUTE)
    assert [message.id for message in scripted(town.rig).sent] == [
        send_id("welcome", "e1", "0"),
        send_id("welcome", "e1", "2"),
    ]
    entry = await town.entry()
    assert (entry["status"], entry["reason"], entry["step"], entry["due_at"]) == ("done", None, None, None)


async def test_many_processes_take_many_journeys_on_once(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1m"}, SEND, {"tag": {"name": "told"}}]))
    for number in range(40):
        await town.rig.customer(f"q{number}")
        await town.enters(f"q{number}", f"e{number}")
    others = [await town.rig.assemble() for _ in range(3)]
    town.rig.clock.now += MINUTE
    for _ in range(3):
        await asyncio.gather(*(one.journeys.step(7, town.rig.clock()) for one in [*others, town.messenger] * 3))
    await settle(town.rig, town.messenger)
    sent = scripted(town.rig).sent
    assert len(sent) == len({message.id for message in sent}) == 40
    await eventually(lambda: told(town.rig, 40))
    assert {row["status"] for row in await town.rig.entries()} == {"done"}


async def told(rig: Rig, count: int) -> bool:
    return len(await rig.updates()) == count


async def test_a_step_that_comes_too_late_sends_nothing_and_says_so(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND], max_entry_age="2h"))
    await town.enters("p1", "e1")
    await town.at(START + 3 * HOUR + 1)
    assert await town.fates() == [("1", "skipped", "entry_too_old")]
    assert town.texts() == []


async def test_the_next_channel_sends_what_the_first_could_not(town: Town) -> None:
    both = {"send": {"channels": ["email", "sms"], "templates": {"email": "hello-mail", "sms": "hello"}}}
    await town.rig.define(MAIL, campaign(steps=[both, {"wait": "1d"}, SEND]))
    await town.rig.customer("p1", email=None)
    await town.enters("p1", "e1")
    assert await town.fates() == [("0", "skipped", "no_address"), ("0", "accepted", None)]
    assert (await town.entry())["due_at"] == START + DAY

    await town.rig.customer("p2")
    scripted(town.rig).script = [Refused("smtp_550")]
    await town.enters("p2", "e2")
    rows = await town.rig.pool.fetch(
        "SELECT channel, status, alternative FROM message WHERE entry_id = 'e2' ORDER BY alternative"
    )
    assert [tuple(row) for row in rows] == [("email", "failed", 0), ("sms", "accepted", 1)]


async def test_no_other_channel_is_tried_where_the_customer_is_not_to_be_written_to(town: Town) -> None:
    both = {"send": {"channels": ["email", "sms"], "templates": {"email": "hello-mail", "sms": "hello"}}}
    await town.rig.define(MAIL, campaign(steps=[both]))
    await town.rig.pool.execute("INSERT INTO profiles.suppressed_v1 VALUES ('p1')")
    await town.rig.customer("p2", communication={"monthly_maximum": 0})
    await town.enters("p2", "e2")
    assert await town.fates() == [("0", "skipped", "monthly_maximum")]


async def test_a_branch_asks_the_segmenter(town: Town) -> None:
    branch = {"branch": {"if": {"segment": {"id": "gold"}}, "then": [SEND], "else": [SEND_MAIL]}}
    await town.rig.define(MAIL, campaign(steps=[branch]))
    town.rig.segmenter.members["gold"] = {"p1"}
    await town.enters("p1", "e1")
    await town.rig.customer("p2")
    await town.enters("p2", "e2")
    rows = await town.rig.pool.fetch("SELECT entry_id, step FROM message ORDER BY entry_id")
    assert [tuple(row) for row in rows] == [("e1", "0.then.0"), ("e2", "0.else.0")]


async def test_a_branch_waits_for_a_segmenter_that_does_not_answer(town: Town) -> None:
    branch = {"branch": {"if": {"segment": {"id": "gold"}}, "then": [SEND], "else": []}}
    await town.rig.define(campaign(steps=[branch]))
    town.rig.segmenter.members["gold"] = {"p1"}
    town.rig.segmenter.silent = True
    await town.rig.enter("p1", "e1")
    await eventually(lambda: applied(town.rig, SEGMENT_CHANGES.name, "p1", 1))
    await town.messenger.journeys.step(10, town.rig.clock())
    entry = await town.entry()
    assert (entry["status"], entry["attempt"], entry["due_at"] > START) == ("active", 1, True)
    town.rig.segmenter.silent = False
    await town.at(entry["due_at"])
    assert len(town.texts()) == 1


@pytest.mark.parametrize(
    ("re_entry", "second_at", "entered"),
    [
        ("always", START + 1, 2),
        ("never", START + 400 * DAY, 1),
        ({"after": "7d"}, START + 7 * DAY - 1, 1),
        ({"after": "7d"}, START + 7 * DAY, 2),
    ],
)
async def test_who_may_enter_again(town: Town, re_entry: Any, second_at: int, entered: int) -> None:
    await town.rig.define(campaign(re_entry=re_entry))
    await town.enters("p1", "e1")
    town.rig.clock.now = second_at
    await town.enters("p1", "e2")
    await town.enters("p1", "e1")
    assert len(town.texts()) == entered
    refused = [row["reason"] for row in await town.rig.entries() if row["status"] == "refused"]
    assert refused == ["re_entry"] * (2 - entered)


async def test_who_was_two_enters_once(town: Town) -> None:
    await town.rig.define(campaign(re_entry="never"))
    await town.rig.customer("p2")
    await town.enters("p1", "e1")
    await town.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'p2')")
    await town.enters("p2", "e2")
    assert len(town.texts()) == 1


async def test_the_control_group_is_measured_and_never_messaged(town: Town) -> None:
    goal = {"event": "Order Completed", "within": "3d"}
    await town.rig.define(campaign(holdout="50%", goal=goal))
    for number in range(30):
        await town.rig.customer(f"q{number}")
        await town.enters(f"q{number}", f"e{number}")
        await town.does(f"q{number}", "Order Completed", total=10, currency="czk")
    rows = await town.rig.pool.fetch(
        "SELECT status, count(*) AS n, count(converted_at) AS converted, sum(revenue) AS revenue"
        " FROM entry GROUP BY 1 ORDER BY 1"
    )
    found = {row["status"]: (row["n"], row["converted"], int(row["revenue"])) for row in rows}
    assert 5 < found["holdout"][0] < 25
    assert len(town.texts()) == 30 - found["holdout"][0]
    assert all(n == converted and revenue == 10 * n for n, converted, revenue in found.values())


async def test_a_goal_ends_the_journey_and_counts_once(town: Town) -> None:
    goal = {"event": "Order Completed", "within": "3d"}
    await town.rig.define(campaign(goal=goal, steps=[{"wait": "1h"}, SEND]))
    await town.enters("p1", "e1")
    town.rig.clock.now += 30 * MINUTE
    await town.does("p1", "Order Completed", total="99.90", currency="EUR")
    await town.does("p1", "Order Completed", total=5)
    await town.at(START + 2 * HOUR)
    entry = await town.entry()
    assert (entry["status"], entry["goals"], entry["orders"], str(entry["revenue"]), entry["currency"]) == (
        "converted",
        1,
        1,
        "99.90",
        "EUR",
    )
    assert entry["converted_at"] == START + 30 * MINUTE
    assert town.texts() == []


async def test_a_goal_after_its_time_is_none(town: Town) -> None:
    await town.rig.define(campaign(goal={"event": "Order Completed", "within": "3d"}))
    await town.enters("p1", "e1")
    await town.does("p1", "Order Completed", at=START + 3 * DAY + 1)
    await town.does("p1", "Order Completed", at=START - 1)
    assert (await town.entry())["converted_at"] is None
    await town.does("p1", "Order Completed", at=START + 3 * DAY)
    assert (await town.entry())["converted_at"] == START + 3 * DAY


async def test_a_goal_that_was_read_before_the_entry_counts(town: Town) -> None:
    await town.rig.define(
        campaign(goal={"event": "Order Completed", "within": "3d"}, steps=[{"wait": "1h"}, SEND])
    )
    row = done("p1", "Order Completed", "m1", START + 5, {"total": 7})
    await town.rig.pool.execute(
        "INSERT INTO profiles.timeline_v1 VALUES (0, 1, 1, $1, $1, 'p1', 'event', $2, $1, 'web', 'm1', $3)",
        *(START + 5, row.event, msgspec.json.encode(row).decode()),
    )
    town.rig.clock.now += MINUTE
    await town.enters("p1", "e1", at=START)
    assert (await town.entry())["status"] == "converted"
    await town.row(row)
    assert ((await town.entry())["goals"], int((await town.entry())["revenue"])) == (1, 7)


async def test_a_target_is_reached_by_so_many(town: Town) -> None:
    await town.rig.define(campaign(goal={"event": "Lesson Done", "within": "3d", "target": 3}))
    await town.enters("p1", "e1")
    for expected in (1, 2):
        await town.does("p1", "Lesson Done")
        assert ((await town.entry())["goals"], (await town.entry())["converted_at"]) == (expected, None)
    await town.does("p1", "Lesson Done")
    await town.does("p1", "Lesson Done")
    assert ((await town.entry())["goals"], (await town.entry())["status"]) == (3, "converted")


async def test_leaving_the_segment_ends_the_journey(town: Town) -> None:
    await town.rig.define(campaign(exit_when="segment_exited", steps=[{"wait": "1h"}, SEND]))
    await town.enters("p1", "e1")
    await town.enters("p1", "other", event="Exited")
    assert (await town.entry())["status"] == "active"
    await town.enters("p1", "e1", event="Exited")
    await town.at(START + 2 * HOUR)
    assert ((await town.entry())["status"], town.texts()) == ("exited", [])


async def test_the_exit_of_who_was_merged_away_ends_nothing(town: Town) -> None:
    await town.rig.define(campaign(exit_when="segment_exited", steps=[{"wait": "1h"}, SEND]))
    await town.rig.customer("p2")
    await town.enters("p1", "e1")
    await town.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'p2')")
    await town.enters("p1", "e1", event="Exited", reason="merge")
    assert (await town.entry())["status"] == "active"
    await town.enters("p2", "e1", event="Exited", reason="merge")
    assert (await town.entry())["status"] == "exited"


async def test_an_exit_starts_what_waits_for_exits(town: Town) -> None:
    await town.rig.define(campaign(trigger={"segment": "vip", "on": "exited"}))
    await town.enters("p1", "e1")
    assert town.texts() == []
    await town.enters("p1", "e1", event="Exited")
    assert len(town.texts()) == 1


async def test_an_event_starts_a_journey_for_each_key(town: Town) -> None:
    await town.rig.define(
        campaign(
            trigger={"event": "Cart Viewed", "by": "properties.cart_id"},
            re_entry="never",
            goal={"event": "Order Completed", "within": "3d"},
            exit_when={"event": "Cart Emptied"},
            steps=[{"wait": "1h"}, SEND],
        )
    )
    for cart in ("c1", "c2", "c1", "c3"):
        await town.does("p1", "Cart Viewed", cart_id=cart)
    await town.does("p1", "Cart Viewed")
    await town.row(done("p1", "Cart Viewed", "old", town.rig.clock(), {"cart_id": "c9"}, imported=True))
    town.rig.clock.now += MINUTE
    await town.does("p1", "Order Completed", cart_id="c2")
    await town.does("p1", "Cart Emptied", cart_id="c3")
    await town.at(START + HOUR)
    rows = await town.rig.pool.fetch("SELECT key, status FROM entry ORDER BY key, status")
    assert [tuple(row) for row in rows] == [
        ("c1", "done"),
        ("c1", "refused"),
        ("c2", "converted"),
        ("c3", "exited"),
    ]
    assert len(town.texts()) == 1


async def test_two_who_become_one_go_on_once(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND]))
    await town.rig.customer("p2")
    await town.enters("p1", "e1", at=START - 1)
    await town.enters("p2", "e2")
    await town.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p2', 'p1')")
    row = MergeRow(
        seq=0, epoch=1, time=0, low=0, profile_id="p1", loser="p2", loser_partition=0, loser_seq=1, source="s",
        message_id="m",
    )  # fmt: skip
    await town.row(row)
    await town.at(START + 2 * HOUR)
    found = {row["entry_id"]: (row["status"], row["reason"]) for row in await town.rig.entries()}
    assert found == {"e1": ("done", None), "e2": ("cancelled", "merged")}
    assert len(town.texts()) == 1


async def test_an_erasure_ends_journeys_and_forgets_what_they_knew(town: Town) -> None:
    await town.rig.define(
        campaign(trigger={"event": "Cart Viewed", "by": "properties.cart_id"}, steps=[{"wait": "1h"}, SEND])
    )
    await town.does("p1", "Cart Viewed", cart_id="jana-s-cart")
    await town.rig.pool.execute("DELETE FROM profiles.profile_v1")
    await town.row(ErasureRow(seq=0, epoch=1, time=0, low=0, profile_id="p1"))
    await town.at(START + 2 * HOUR)
    entry = await town.entry()
    assert (entry["status"], entry["reason"], entry["event"], entry["key"]) == ("cancelled", "erased", None, None)
    assert town.texts() == []


async def test_who_is_inside_finishes_the_version_it_began_unless_moved(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND]))
    await town.rig.customer("p2")
    await town.enters("p1", "e1")
    other = {**campaign(steps=[{"wait": "1h"}, SEND, {"tag": {"name": "new"}}])}
    await town.rig.define(other)
    await town.enters("p2", "e2")
    versions = {row["entry_id"]: row["campaign_version"] for row in await town.rig.entries()}
    assert versions == {"e1": 2, "e2": 3}
    moved = await town.messenger.moves.move("welcome", 3, town.rig.clock())
    assert (moved.moved, moved.stayed) == (1, 0)
    await town.at(START + HOUR)
    await eventually(lambda: told(town.rig, 2))


async def test_who_stands_at_a_step_that_is_another_now_stays(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND]))
    await town.enters("p1", "e1")
    await town.rig.define(campaign(steps=[{"wait": "1h"}, {"tag": {"name": "new"}}]))
    moved = await town.messenger.moves.move("welcome", 3, town.rig.clock())
    assert (moved.moved, moved.stayed) == (0, 1)
    await town.at(START + HOUR)
    assert len(town.texts()) == 1


async def test_a_paused_campaign_waits_and_a_deleted_one_ends(town: Town) -> None:
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND]))
    await town.enters("p1", "e1")
    await town.rig.define(campaign(steps=[{"wait": "1h"}, SEND], state="paused"))
    await town.at(START + 2 * HOUR)
    assert ((await town.entry())["status"], town.texts()) == ("active", [])
    await town.rig.pool.execute("UPDATE definition SET state = 'deleted' WHERE id = 'welcome'")
    await town.at(START + 2 * HOUR)
    assert ((await town.entry())["status"], (await town.entry())["reason"]) == ("cancelled", "campaign_deleted")


async def test_a_run_reaches_everybody_in_the_audience_once(town: Town) -> None:
    schedule = {"schedule": {"at": "2023-11-14T22:13:25Z"}, "audience": {"segment": "all"}}
    await town.rig.define(campaign(trigger=schedule))
    members = {f"q{n}" for n in range(5)}
    town.rig.segmenter.members["all"] = members
    for member in members:
        await town.rig.customer(member)
    runs: Runs = town.messenger.runs.runs
    assert await runs.begin(START) == 0
    town.rig.clock.now = START + 5_000
    assert await runs.begin(town.rig.clock()) == 1
    assert await runs.begin(town.rig.clock()) == 0
    other = (await town.rig.assemble()).runs.runs
    while any(await asyncio.gather(runs.work(town.rig.clock()), other.work(town.rig.clock()))):
        pass
    await settle(town.rig, town.messenger)
    assert len(town.texts()) == 5
    assert {row["profile_id"] for row in await town.rig.entries()} == members


async def test_a_missed_run_is_let_go_and_a_cron_begins_again_and_again(town: Town) -> None:
    schedule = {"schedule": {"cron": "0 9 * * *", "timezone": "Europe/Prague"}, "audience": {"segment": "all"}}
    await town.rig.define(campaign(trigger=schedule, max_entry_age="1h"))
    town.rig.segmenter.members["all"] = {"p1"}
    runs: Runs = town.messenger.runs.runs
    nine = START - START % DAY + DAY + 8 * HOUR  # 09:00 in Prague, in winter
    assert await runs.begin(nine - 1) == 0
    assert await runs.begin(nine + HOUR) == 1
    assert await runs.begin(nine + HOUR + 1) == 0
    assert await runs.begin(nine + 3 * DAY + 2 * HOUR) == 0, "missed by more than the campaign answers to"
    assert await runs.begin(nine + 4 * DAY) == 1


async def test_who_was_in_the_segment_before_enters_where_that_is_asked_for(town: Town) -> None:
    town.rig.segmenter.members["vip"] = {"p1"}
    await town.rig.define(campaign())
    runs: Runs = town.messenger.runs.runs
    assert not await runs.work(START)
    await town.rig.define(campaign(include_current=True))
    await town.rig.define(campaign(include_current=True, name="Renamed"))
    while await runs.work(START):
        pass
    await town.enters("p1", "e-p1", reason="definition")
    assert len(town.texts()) == 1


async def test_a_webhook_is_called_and_the_journey_goes_on(town: Town) -> None:
    hook = {"webhook": {"url": "https://hooks.shop.test/x", "body": {"name": "{{ profile.traits.first_name }}"}}}
    await town.rig.define(campaign(steps=[hook, SEND]))
    await town.rig.customer("p1", consent="withdrawn")
    await town.enters("p1", "e1")
    (call,) = scripted(town.rig).sent
    body = msgspec.json.decode(call.text)
    assert (call.channel, call.to, body["type"]) == ("webhook", "https://hooks.shop.test/x", "campaign.step")
    assert (body["data"]["name"], body["data"]["profile"], body["data"]["step"]) == ("Jana", {"id": "p1"}, "0")
    assert sorted(await town.fates()) == [("0", "accepted", None), ("1", "skipped", "no_consent")]


async def test_what_a_journey_changes_is_told_once(town: Town) -> None:
    found = [{"tag": {"name": "told"}}, {"award_points": {"points": 5}}, {"wait": "1h"}, {"set_trait": {"a": 1}}]
    await town.rig.define(campaign(steps=found))
    await town.enters("p1", "e1")
    await town.at(START + HOUR)
    await eventually(lambda: told(town.rig, 3))
    updates = await town.rig.updates()
    assert [(u.event, u.tags, u.traits, u.type) for u in updates] == [
        ("Tag Added", {"told": True}, {}, "track"),
        ("Points Awarded", {}, {}, "track"),
        (None, {}, {"a": 1}, "identify"),
    ]
    assert updates[1].properties == {"points": 5, "campaign_id": "welcome", "entry_id": "e1", "step": "1"}
    assert by_outcome(await town.rig.published()) == []


async def test_a_provider_that_goes_on_to_the_next_channel_is_given_both(town: Town) -> None:
    cart = {
        "kind": "template",
        "id": "cart",
        "channel": "viber",
        "text": "Cart of {{ profile.traits.first_name }}",
    }
    both = {"send": {"channels": ["viber", "sms"], "templates": {"viber": "cart", "sms": "hello"}}}
    await town.rig.define(cart, campaign(steps=[both]))
    scripted(town.rig).cascades = frozenset({("viber", "sms")})
    state = {"status": "granted", "time": START - 1000}
    consents = msgspec.json.encode({"viber": state, "sms": state}).decode()
    await town.rig.pool.execute("UPDATE profiles.profile_v1 SET consents = $1", consents)
    await town.enters("p1", "e1")
    (sent,) = scripted(town.rig).sent
    assert (sent.channel, sent.text, sent.fallback) == (
        "viber",
        "Cart of Jana",
        Fallback("sms", "+420601000001", "Hi Jana"),
    )
    assert await town.rig.pool.fetchval("SELECT cascaded FROM message")

    await town.rig.pool.execute(
        "UPDATE profiles.profile_v1 SET consents = $1", msgspec.json.encode({"viber": state}).decode()
    )
    await town.enters("p1", "e2")
    assert scripted(town.rig).sent[-1].fallback is None, "no consent, no text message"
    scripted(town.rig).script = [Refused("undeliverable")]
    await town.rig.pool.execute("UPDATE profiles.profile_v1 SET consents = $1", consents)
    await town.enters("p1", "e3")
    rows = await town.rig.pool.fetch("SELECT channel, status FROM message WHERE entry_id = 'e3'")
    assert [tuple(row) for row in rows] == [("viber", "failed")], "the provider has tried both"
