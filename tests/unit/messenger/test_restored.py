"""After a restore nobody gets twice what was sent since the backup, and what may have been sent is `unknown`."""

from typing import Any

import pytest

from headrace.contracts.ids import send_id
from headrace.contracts.message import MessageOutcome
from headrace.runtime.clock import now_ms
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.publisher import Published
from services.messenger.kept_receipts import keep
from services.messenger.outbox import OutcomeOutbox
from services.messenger.receipts.port import Receipt
from services.messenger.recovered import Fate, heard, moves
from services.messenger.refill import OutcomesLost
from tests.backup import Backup
from tests.unit.messenger.restoring import told, whole
from tests.unit.messenger.rig import Rig, ScriptedProvider, campaign, eventually
from tests.unit.messenger.voucher_rig import pool, upload

HELLO = {"send": {"channels": ["sms"], "template": "hello"}}
WITH_VOUCHER = [{"voucher": {"pool": "spring"}}, HELLO]
SECONDS = 60.0


@pytest.fixture
async def backup(rig: Rig, messenger_database: str) -> Backup:
    """Of a store that was started once. The clock is the real one: the restore has Postgres' time."""
    rig.clock.now = now_ms()
    await rig.assemble()
    return Backup(messenger_database, "messenger")


def sent(rig: Rig) -> list[str]:
    assert isinstance(rig.provider, ScriptedProvider)
    return [message.id for message in rig.provider.sent]


async def settled(rig: Rig, count: int) -> bool:
    statuses = await rig.statuses()
    return len(statuses) == count and not {"pending", "claimed"} & set(statuses)


async def fates(rig: Rig) -> dict[str, tuple[str, str | None]]:
    return {row["id"]: (row["status"], row["reason"]) for row in await rig.messages()}


async def test_what_was_sent_since_the_backup_is_not_sent_again(rig: Rig, backup: Backup) -> None:
    """Entries that the backup does not know, of which one was in flight; one that it knows; and a new one."""
    known, forgotten, in_flight, new = (send_id("welcome", entry, "0") for entry in ("e1", "e2", "e3", "e4"))
    for profile in ("p1", "p2", "p3", "p4"):
        await rig.customer(profile)
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(lambda: waiting(rig, 1), SECONDS)
    await backup.take()
    async with rig.running():
        await rig.enter("p2", "e2")
        await eventually(lambda: outcomes(rig, 2), SECONDS)
    async with rig.running("follow"):
        await rig.enter("p3", "e3")
        await eventually(lambda: waiting(rig, 1), SECONDS)
    async with rig.running("sender"):  # nothing is published any more
        await eventually(lambda: settled(rig, 3), SECONDS)

    await backup.restore()
    rig.clock.now = now_ms() + 1
    async with whole(rig):
        await eventually(lambda: settled(rig, 3), SECONDS)
        await rig.enter("p4", "e4")
        await eventually(lambda: settled(rig, 4), SECONDS)
        await eventually(lambda: outcomes(rig, 4), SECONDS)

    assert await fates(rig) == {
        known: ("accepted", None),
        forgotten: ("accepted", None),
        in_flight: ("unknown", "restored"),
        new: ("accepted", None),
    }
    assert sorted(sent(rig)) == sorted([known, forgotten, in_flight, new])
    assert sorted((one.id, one.outcome) for one in await told(rig)) == sorted(
        [(known, "accepted"), (forgotten, "accepted"), (in_flight, "unknown"), (new, "accepted")]
    )
    recovered = {row["id"]: row["provider_message_id"] for row in await rig.messages()}
    assert recovered[forgotten] == f"accepted-{forgotten}"


async def waiting(rig: Rig, count: int) -> bool:
    return (await rig.statuses()).count("pending") == count


async def outcomes(rig: Rig, count: int) -> bool:
    return len(await told(rig)) >= count


async def test_a_journey_goes_on_from_what_was_sent(rig: Rig, backup: Backup) -> None:
    """Its first message and the code it got are known from the log, the second message was in flight; another
    journey waits beyond the restore, and is sent then."""
    await pool(rig)
    await upload(rig, "ONE", "TWO")
    await rig.define(
        campaign(steps=[*WITH_VOUCHER, HELLO]), campaign(id="later", steps=[{"wait": "1d"}, HELLO, HELLO])
    )
    await rig.customer("p1")
    await rig.customer("p2")
    await backup.take()
    await rig.enter("p1", "e1")
    first, second = send_id("welcome", "e1", "1"), send_id("welcome", "e1", "2")
    for parts, done in (
        (("follow",), lambda: entries(rig, 2)),
        (("journeys", "sender"), lambda: settled(rig, 1)),
        (("follow",), lambda: outcomes(rig, 1)),
        (("journeys", "sender"), lambda: settled(rig, 2)),
    ):
        async with rig.running(*parts):
            await eventually(done, SECONDS)
    assert sent(rig) == [first, second]

    await backup.restore()
    rig.clock.now = now_ms() + 1
    async with whole(rig):
        await eventually(lambda: settled(rig, 2), SECONDS)
        await rig.enter("p2", "e2")
        await eventually(lambda: settled(rig, 4), SECONDS)
        rig.clock.now += 25 * 3_600_000
        await eventually(lambda: settled(rig, 8), SECONDS)

    found = await fates(rig)
    assert found.pop(first) == ("accepted", None)
    assert found.pop(second) == ("unknown", "restored")
    assert set(found.values()) == {("accepted", None)}
    assert sorted(sent(rig)) == sorted([first, second, *found])
    codes = await rig.pool.fetch("SELECT entry_id, code FROM voucher_code ORDER BY entry_id")
    assert [tuple(row) for row in codes] == [("e1", "ONE"), ("e2", "TWO")]


async def entries(rig: Rig, count: int) -> bool:
    return len(await rig.entries()) == count


async def test_who_unsubscribed_or_bounced_since_the_backup_gets_nothing(rig: Rig, backup: Backup) -> None:
    """By a message that the backup knows, and by one that it does not; a receipt that comes before the message is
    made again waits for it."""
    await rig.customer("p1")
    await rig.customer("p2", phone="+420601000002")
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: outcomes(rig, 1), SECONDS)
    await backup.take()
    known, forgotten = send_id("welcome", "e1", "0"), send_id("welcome", "e2", "0")
    async with rig.running() as messenger:
        await rig.enter("p2", "e2")
        await eventually(lambda: outcomes(rig, 2), SECONDS)
        for message_id in (known, forgotten):
            assert await messenger.unsubscribes.unsubscribe(message_id, rig.clock())
        await eventually(lambda: outcomes(rig, 4), SECONDS)

    await backup.restore()
    rig.clock.now = now_ms() + 1
    messenger = await rig.assemble()
    assert await messenger.refill.run()
    assert await rig.pool.fetch("SELECT 1 FROM suppression") == []
    receipts = [
        Receipt("bounced", rig.clock(), forgotten, permanent=True),
        Receipt("opened", rig.clock(), "s-other"),
    ]
    async with rig.pool.acquire() as connection, connection.transaction():
        assert await keep(connection, receipts) == receipts[1:]
    async with whole(rig):
        await eventually(lambda: settled(rig, 2), SECONDS)
        await eventually(lambda: suppressed(rig, 3), SECONDS)

    assert await fates(rig) == {known: ("accepted", None), forgotten: ("bounced", None)}
    reasons = await rig.pool.fetch("SELECT reason FROM suppression ORDER BY reason")
    assert [row["reason"] for row in reasons] == ["bounced", "unsubscribed", "unsubscribed"]
    assert len({row["address_hash"] for row in await rig.messages()}) == 2
    assert len(sent(rig)) == 2


async def suppressed(rig: Rig, count: int) -> bool:
    return len(await rig.pool.fetch("SELECT 1 FROM suppression")) == count


async def test_what_was_put_off_beyond_the_restore_is_sent(rig: Rig, backup: Backup) -> None:
    """One that the backup had put off, one that it had pending, and one that a process was sending."""
    for number in (1, 2, 3):
        await rig.customer(f"p{number}")
    async with rig.running("follow"):
        for number in (1, 2, 3):
            await rig.enter(f"p{number}", f"e{number}")
        await eventually(lambda: waiting(rig, 3), SECONDS)
    off, pending, claimed = (send_id("welcome", f"e{number}", "0") for number in (1, 2, 3))
    await rig.pool.execute(
        "UPDATE message SET due_at = due_at + 3600000, reason = 'quiet_hours' WHERE id = $1", off
    )
    await rig.pool.execute("UPDATE message SET status = 'claimed', claimed_at = due_at WHERE id = $1", claimed)
    await backup.take()
    await backup.restore()
    await backup.note()  # safe to repeat
    rig.clock.now = now_ms() + 3_700_000
    async with whole(rig):
        await eventually(lambda: settled(rig, 3), SECONDS)
    unknown = ("unknown", "restored")
    assert await fates(rig) == {off: ("accepted", None), pending: unknown, claimed: unknown}
    assert sent(rig) == [off]


async def test_a_restored_store_that_was_not_noted_stops(rig: Rig, backup: Backup) -> None:
    """The log holds numbers that this database never gave out: it says what to do."""
    outbox = OutcomeOutbox(rig.pool, partitions=2, epoch=1)
    with pytest.raises(PartitionHalted, match="headrace restored"):
        await outbox.mark(0, Published(1, 7, "7", 7))
    assert await outbox.published(0) == Published(1, 0, "", 0)


async def test_a_log_that_does_not_reach_back_to_the_backup_halts(rig: Rig, backup: Backup) -> None:
    """Nothing is sent: nobody knows what was."""
    await rig.pool.execute("INSERT INTO outcome_published VALUES (1, 1, 0, '', -1)")
    await backup.note()
    messenger = await rig.assemble()
    with pytest.raises(OutcomesLost, match="Restore a newer backup"):
        await messenger.refill.run()
    assert not await rig.pool.fetchval("SELECT refilled FROM store")


def test_the_last_word_about_a_message_holds() -> None:
    fate = None
    for outcome in ("accepted", "delivered", "opened", "clicked", "opened", "unsubscribed"):
        fate = heard(fate, outcome_of(outcome, at=len(outcome)))
    assert fate is not None
    assert (fate.status, fate.sent_at, fate.delivered_at) == ("delivered", 8, 9)
    assert (fate.opened_at, fate.clicked_at, fate.unsubscribed_at) == (6, 7, 12)
    assert heard(fate, outcome_of("opened", at=99, machine=True)).machine_opened_at == 99
    assert heard(heard(None, outcome_of("unknown")), outcome_of("failed")).status == "failed"
    only_a_response = heard(None, outcome_of("clicked", at=5))
    assert only_a_response == Fate("s1", None, None, None, None, None, 5, clicked_at=5)


def test_a_settled_message_moves_forward_only() -> None:
    assert moves("accepted", "delivered")
    assert moves("unknown", "accepted")
    assert not moves("delivered", "accepted")
    assert not moves("skipped", "accepted")
    assert not moves("accepted", None)


def outcome_of(outcome: Any, *, at: int = 1, machine: bool = False) -> MessageOutcome:
    return MessageOutcome(
        message_id=f"o-{outcome}",
        id="s1",
        outcome=outcome,
        channel="email",
        profile_id="p1",
        campaign_id="welcome",
        campaign_version=1,
        entry_id="e1",
        step="0",
        at=at,
        machine=machine,
    )
