"""From an entry to one message: decided once, sent once, told once."""

import asyncio

import msgspec
import pytest

from headrace.contracts.ids import send_id
from headrace.contracts.profile_event import ErasureRow, MergeRow
from headrace.contracts.topics import PROFILE_EVENTS, SEGMENT_CHANGES, partition_of
from headrace.log.port import NewRecord
from services.messenger import sender, worker
from services.messenger.claims import GONE_MS, Claimed, Settlement
from services.messenger.providers.file import LineFile
from services.messenger.providers.port import Accepted, NotSent, Refused, Unsure
from services.messenger.store import Fenced, Position, Positions
from tests.unit.messenger.rig import (
    MAIL,
    PARTITIONS,
    START,
    Rig,
    ScriptedProvider,
    by_outcome,
    campaign,
    entered,
    eventually,
)


def scripted(rig: Rig) -> ScriptedProvider:
    assert isinstance(rig.provider, ScriptedProvider)
    return rig.provider


async def settled(rig: Rig) -> bool:
    statuses = await rig.statuses()
    return bool(statuses) and not {"pending", "claimed"} & set(statuses)


async def test_an_entry_becomes_one_message_and_one_outcome(rig: Rig) -> None:
    await rig.customer("p1")
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
        await eventually(rig.published)
    (message,) = await rig.messages()
    (sent,) = scripted(rig).sent
    (outcome,) = await rig.published()
    assert message["status"] == "accepted"
    assert (sent.id, sent.to, sent.text) == (send_id("welcome", "e1", "0"), "+420601000001", "Hi Jana")
    assert (outcome.outcome, outcome.profile_id, outcome.segment_id, outcome.id) == (
        "accepted",
        "p1",
        "vip",
        sent.id,
    )


async def test_the_same_entry_twice_is_one_message(rig: Rig) -> None:
    """Once more by the same partition, and by another one (after a merge)."""
    await rig.customer("p1")
    async with rig.running("follow"):
        for profile_id in ("p1", "p1", "p2", "p3", "p4"):
            await rig.enter(profile_id, "e1")
        for q in range(PARTITIONS):
            await rig.publish(SEGMENT_CHANGES.name, q, entered("p9", f"last-{q}", at=START))
        await eventually(lambda: has_messages(rig, 1 + PARTITIONS))
    assert len([m for m in await rig.messages() if m["entry_id"] == "e1"]) == 1


async def has_messages(rig: Rig, count: int) -> bool:
    return len(await rig.messages()) == count


@pytest.mark.parametrize(
    ("reason", "include_current", "messages"),
    [
        *[(reason, False, 1) for reason in ("event", "trait", "time", "population")],
        ("definition", False, 0),
        ("definition", True, 1),
        *[(reason, True, 0) for reason in ("import", "merge", "unmerge", "erasure", "repair")],
    ],
)
async def test_which_entries_send(rig: Rig, reason: str, include_current: bool, messages: int) -> None:
    await rig.define(campaign(include_current=include_current))
    q = partition_of("p1", PARTITIONS)
    async with rig.running("follow"):
        await rig.enter("p1", "e1", reason=reason)
        await eventually(lambda: at_seq(rig, SEGMENT_CHANGES.name, q, 1))
    assert len(await rig.messages()) == messages


async def at_seq(rig: Rig, topic: str, partition: int, seq: int) -> bool:
    return await rig.position(topic, partition) >= seq


async def test_an_old_entry_is_skipped_and_told(rig: Rig) -> None:
    await rig.customer("p1")
    async with rig.running():
        await rig.enter("p1", "e1", at=START - 24 * 3_600_000 - 1)
        await rig.enter("p1", "e2", at=START - 24 * 3_600_000)
        await eventually(lambda: settled(rig))
        await eventually(lambda: told(rig, 2))
    assert by_outcome(await rig.published()) == [("accepted", None), ("skipped", "entry_too_old")]


async def told(rig: Rig, count: int) -> bool:
    return len(await rig.published()) == count


async def test_restart_between_decision_and_claim(rig: Rig) -> None:
    await rig.customer("p1")
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(lambda: has_messages(rig, 1))
    assert await rig.statuses() == ["pending"]
    async with rig.running():
        await eventually(lambda: settled(rig))
    assert len(scripted(rig).sent) == 1


async def pending(rig: Rig, entries: int = 1) -> None:
    """Entries e1… of p1, decided and not yet claimed."""
    await rig.customer("p1")
    async with rig.running("follow"):
        for number in range(1, entries + 1):
            await rig.enter("p1", f"e{number}")
        await eventually(lambda: has_messages(rig, entries))


@pytest.mark.parametrize("sent", [False, True], ids=["before the send", "after the send"])
async def test_a_claim_whose_process_died_is_unknown_and_never_sent_again(rig: Rig, sent: bool) -> None:
    await pending(rig)
    dead = await rig.assemble()
    claimed = await dead.claims.claim("sms", 10, rig.clock())
    if sent:
        await rig.provider.send(claimed.claims[0].outgoing)
    handed_over = len(scripted(rig).sent)

    rig.clock.now += GONE_MS
    async with rig.running() as messenger:
        await messenger.janitor.recover()
        assert await rig.statuses() == ["claimed"]
        rig.clock.now += 1
        await messenger.janitor.recover()
        await eventually(lambda: told(rig, 1))
        await messenger.senders[0].claim_once()
        await messenger.senders[0].idle()
    assert await rig.statuses() == ["unknown"]
    assert by_outcome(await rig.published()) == [("unknown", "process_gone")]
    assert len(scripted(rig).sent) == handed_over


@pytest.mark.parametrize("sent", [False, True], ids=["before the send", "after the send"])
async def test_the_file_outbox_holds_one_line_whenever_the_process_dies(rig: Rig, sent: bool) -> None:
    path = rig.data_dir / "sms.jsonl"
    rig.provider = LineFile(path)
    await pending(rig)
    dead = await rig.assemble()
    claimed = await dead.claims.claim("sms", 10, rig.clock())
    if sent:
        await rig.provider.send(claimed.claims[0].outgoing)

    rig.provider = LineFile(path)  # a new process
    rig.clock.now += GONE_MS
    async with rig.running() as messenger:
        await messenger.janitor.recover()
        await eventually(lambda: settled(rig))
        await eventually(lambda: told(rig, 1))
    assert await rig.statuses() == ["accepted"]
    (line,) = path.read_bytes().splitlines()
    assert msgspec.json.decode(line)["id"] == claimed.claims[0].outgoing.id


@pytest.mark.parametrize("failed_again", [False, True])
async def test_what_may_have_been_sent_is_never_called_skipped(rig: Rig, failed_again: bool) -> None:
    """The process dies after the send; before anybody tries again, consent is withdrawn."""
    rig.provider = ScriptedProvider(idempotent=True)
    await pending(rig)
    dead = await rig.assemble()
    claimed = await dead.claims.claim("sms", 10, rig.clock())
    await rig.provider.send(claimed.claims[0].outgoing)
    rig.clock.now += GONE_MS
    other = await rig.assemble()
    await other.claims.recover(rig.clock())
    if failed_again:
        again = await other.claims.claim("sms", 10, rig.clock())
        await other.claims.settle([Settlement(again.claims[0], NotSent("os_error_28", 0))], rig.clock())
    await rig.customer("p1", consent="withdrawn")
    async with rig.running():
        await eventually(lambda: told(rig, 1))
    assert by_outcome(await rig.published()) == [("unknown", "no_consent")]
    assert len(scripted(rig).sent) == 1


async def test_an_erasure_does_not_call_skipped_what_may_have_been_sent(rig: Rig) -> None:
    rig.provider = ScriptedProvider(idempotent=True)
    await pending(rig)
    messenger = await rig.assemble()
    await messenger.claims.claim("sms", 10, rig.clock())
    rig.clock.now += GONE_MS
    await messenger.claims.recover(rig.clock())
    async with rig.running("follow"):
        await rig.publish_row(ErasureRow(seq=1, epoch=1, time=START, low=START, profile_id="p1"))
        await eventually(lambda: at_seq(rig, PROFILE_EVENTS.name, partition_of("p1", PARTITIONS), 1))
    assert await rig.statuses() == ["unknown"]


async def test_a_zombie_does_not_settle_what_another_attempt_answers_for(rig: Rig) -> None:
    rig.provider = ScriptedProvider(idempotent=True)
    await pending(rig)
    zombie = await rig.assemble()
    claimed = await zombie.claims.claim("sms", 10, rig.clock())
    rig.clock.now += GONE_MS
    other = await rig.assemble()
    assert (await other.claims.recover(rig.clock())).pending == 1
    again = await other.claims.claim("sms", 10, rig.clock())

    late = Settlement(claimed.claims[0], Refused("late"))
    assert await zombie.claims.settle([late], rig.clock()) == [False]
    assert await other.claims.settle([Settlement(again.claims[0], Accepted())], rig.clock()) == [True]
    assert await rig.statuses() == ["accepted"]


async def test_a_late_word_of_the_provider_settles_what_was_unknown(rig: Rig) -> None:
    await pending(rig)
    stopped = await rig.assemble()
    claimed = await stopped.claims.claim("sms", 10, rig.clock())
    rig.clock.now += GONE_MS + 1
    other = await rig.assemble()
    await other.claims.recover(rig.clock())
    assert await rig.statuses() == ["unknown"]
    assert await stopped.claims.settle([Settlement(claimed.claims[0], NotSent("x"))], rig.clock()) == [False]
    assert await stopped.claims.settle([Settlement(claimed.claims[0], Accepted())], rig.clock()) == [True]
    assert await rig.statuses() == ["accepted"]


async def test_two_senders_share_the_work_and_double_nothing(rig: Rig) -> None:
    await pending(rig, 40)
    one, two = await rig.assemble(), await rig.assemble()
    batches = await asyncio.gather(*(m.claims.claim("sms", 5, rig.clock()) for m in (one, two) for _ in range(4)))
    claimed = [claim.outgoing.id for batch in batches for claim in batch.claims]
    assert len(claimed) == len(set(claimed)) > 5


async def test_two_workers_of_one_partition_are_fenced(rig: Rig) -> None:
    await rig.customer("p1")
    q = partition_of("p1", PARTITIONS)
    one, two = await rig.assemble(), await rig.assemble()
    tasks = [asyncio.ensure_future(messenger.worker.work(q)) for messenger in (one, two)]
    for number in range(1, 31):
        await rig.enter("p1", f"e{number}")
        await asyncio.sleep(0)
    await eventually(lambda: at_seq(rig, SEGMENT_CHANGES.name, q, 30))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(await rig.messages()) == 30
    fenced = [m.metrics.fenced.labels("positions")._value.get() for m in (one, two)]
    assert sum(fenced) > 0


async def test_a_position_that_only_moves_is_fenced_as_well(rig: Rig) -> None:
    positions = Positions(rig.pool)
    stored = await positions.load("topic", 0)
    await positions.save("topic", 0, stored, Position(5, 1, 3))
    assert await positions.load("topic", 0) == Position(5, 1, 3)
    with pytest.raises(Fenced):
        await positions.save("topic", 0, stored, Position(9, 1, 3))
    assert await positions.load("topic", 0) == Position(5, 1, 3)


async def test_an_outcome_that_another_process_committed_is_published_by_the_owner(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_RELAY_POLL_SECONDS", 3_600)
    await rig.customer("p1")
    other = await rig.assemble()
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(lambda: at_seq(rig, SEGMENT_CHANGES.name, partition_of("p1", PARTITIONS), 1))
        await other.senders[0].claim_once()
        await other.senders[0].idle()
        await eventually(lambda: told(rig, 1))


async def test_a_sender_claims_only_when_a_look_finds_something_due(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_POLL_SECONDS", 0.01)
    scripted(rig).script = [NotSent("http_429", 30_000)]
    await pending(rig)
    messenger = await rig.assemble()
    claims, looks, claimed = messenger.claims, asyncio.Semaphore(0), list[int]()
    any_due, claim = claims.any_due, claims.claim

    async def look(channel: str, now: int) -> bool:
        looks.release()
        return await any_due(channel, now)

    async def counted(channel: str, limit: int, now: int) -> Claimed:
        claimed.append(now)
        return await claim(channel, limit, now)

    monkeypatch.setattr(claims, "any_due", look)
    monkeypatch.setattr(claims, "claim", counted)
    running = asyncio.create_task(messenger.senders[0].run())
    async with asyncio.timeout(10):
        for _ in range(10):
            await looks.acquire()
    assert claimed == [START], "what waits is not due, and nobody claims it"
    rig.clock.now += 30_000
    await eventually(lambda: settled(rig))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(scripted(rig).sent) == 2


async def test_refused_and_unsure_are_final_and_told(rig: Rig) -> None:
    await pending(rig, 2)
    scripted(rig).script = [Refused("twilio_21610"), Unsure("timeout")]
    async with rig.running():
        await eventually(lambda: told(rig, 2))
    assert sorted(await rig.statuses()) == ["failed", "unknown"]
    assert by_outcome(await rig.published()) == [("failed", "twilio_21610"), ("unknown", "timeout")]
    assert len(scripted(rig).sent) == 2


async def test_not_sent_waits_as_told_and_is_tried_again(rig: Rig) -> None:
    await pending(rig)
    scripted(rig).script = [NotSent("http_429", 30_000)]
    messenger = await rig.assemble()
    for wait, sent in ((0, 1), (29_999, 1), (1, 2)):
        rig.clock.now += wait
        await messenger.senders[0].claim_once()
        await messenger.senders[0].idle()
        assert len(scripted(rig).sent) == sent
    assert await rig.statuses() == ["accepted"]


async def test_a_provider_that_stays_away_ends_with_the_entrys_age(rig: Rig) -> None:
    await pending(rig)
    scripted(rig).script = [NotSent("connection")]
    messenger = await rig.assemble()
    await messenger.senders[0].claim_once()
    await messenger.senders[0].idle()
    rig.clock.now += 24 * 3_600_000 + 1
    await messenger.senders[0].claim_once()
    (message,) = await rig.messages()
    assert (message["status"], message["reason"]) == ("skipped", "provider_unavailable")


async def test_without_consent_nothing_is_sent(rig: Rig) -> None:
    await rig.customer("p1", consent=None)
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: told(rig, 1))
    assert by_outcome(await rig.published()) == [("skipped", "no_consent")]
    assert scripted(rig).sent == []


async def test_consent_withdrawn_between_entry_and_claim_holds(rig: Rig) -> None:
    await pending(rig)
    await rig.customer("p1", consent="withdrawn")
    messenger = await rig.assemble()
    await messenger.senders[0].claim_once()
    (message,) = await rig.messages()
    assert (message["status"], message["reason"]) == ("skipped", "no_consent")


@pytest.mark.parametrize(
    ("traits", "reason"), [({"phone": "not a number"}, "no_address"), ({"phone": "123"}, "no_address")]
)
async def test_without_an_address_nothing_is_sent(rig: Rig, traits: dict[str, str], reason: str) -> None:
    await pending(rig)
    await rig.customer("p1", **traits)
    messenger = await rig.assemble()
    await messenger.senders[0].claim_once()
    (message,) = await rig.messages()
    assert (message["status"], message["reason"]) == ("skipped", reason)


async def test_a_template_that_fails_fails_the_message_alone(rig: Rig) -> None:
    text = "{% if profile.traits.first_name == 'Bad' %}{{ 1 | divided_by: 0 }}{% endif %}Hi"
    await rig.define({"kind": "template", "id": "hello", "channel": "sms", "text": text})
    await rig.customer("bad", first_name="Bad")
    await rig.customer("good")
    async with rig.running():
        await rig.enter("bad", "e1")
        await rig.enter("good", "e2")
        await eventually(lambda: told(rig, 2))
    assert by_outcome(await rig.published()) == [("accepted", None), ("failed", "template_error")]


async def test_a_paused_campaign_holds_its_messages_until_it_lives_again(rig: Rig) -> None:
    await pending(rig)
    await rig.define(campaign(state="paused"))
    messenger = await rig.assemble()
    await messenger.senders[0].claim_once()
    assert await rig.statuses() == ["pending"]
    await rig.define(campaign(state="live"))
    await messenger.senders[0].claim_once()
    await messenger.senders[0].idle()
    assert await rig.statuses() == ["accepted"]


async def test_a_merged_profile_gets_the_message_under_its_winner(rig: Rig) -> None:
    await rig.customer("winner", first_name="Winner")
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'winner')")
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: told(rig, 1))
    assert scripted(rig).sent[0].text == "Hi Winner"
    (outcome,) = await rig.published()
    assert outcome.profile_id == "winner"


async def joined(rig: Rig, loser: str, winner: str) -> None:
    """As the profile service's view says it from now on."""
    await rig.pool.execute("DELETE FROM profiles.alias_v1 WHERE profile_id = $1", loser)
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ($1, $2)", loser, winner)


def merge(winner: str, loser: str) -> MergeRow:
    return MergeRow(
        seq=1,
        epoch=1,
        time=START,
        low=START,
        profile_id=winner,
        loser=loser,
        loser_partition=0,
        loser_seq=1,
        source="s",
        message_id="m",
    )


async def test_an_erasure_forgets_what_all_that_became_one_were_sent(rig: Rig) -> None:
    await pending(rig, 2)
    messenger = await rig.assemble()
    await messenger.claims.claim("sms", 1, rig.clock())
    await joined(rig, "p1", "winner")
    q = partition_of("winner", PARTITIONS)
    async with rig.running("follow") as following:
        await rig.publish_tick(q)
        await rig.publish_row(merge("winner", "p1"))
        await rig.publish_row(ErasureRow(seq=2, epoch=1, time=START, low=START, profile_id="winner"))
        await eventually(lambda: at_seq(rig, PROFILE_EVENTS.name, q, 2))
    duplicates = following.metrics.duplicates.labels(PROFILE_EVENTS.name)
    assert await is_at(duplicates, 0)
    messages = await rig.messages()
    assert sorted((m["status"], m["reason"]) for m in messages) == [("claimed", None), ("skipped", "erased")]
    assert all(m[name] is None for m in messages for name in ("address", "subject", "text", "html"))
    assert "jana" not in str([dict(m) for m in messages]).lower()


@pytest.mark.parametrize(
    ("second", "fates"),
    [
        ("winner", {"e1": ("pending", None), "e2": ("skipped", "merged")}),
        ("p1", {"e1": ("pending", None), "e2": ("pending", None)}),
    ],
    ids=["of both", "of one of them, twice"],
)
async def test_two_who_are_one_get_what_waits_for_both_once(
    rig: Rig, second: str, fates: dict[str, tuple[str, str | None]]
) -> None:
    for name in ("winner", "p1"):
        await rig.customer(name)
    q = partition_of("winner", PARTITIONS)
    async with rig.running("follow"):
        await rig.enter("p1", "e1", at=START - 2)
        await rig.enter(second, "e2", at=START - 1)
        await eventually(lambda: has_messages(rig, 2))
        await joined(rig, "p1", "winner")
        await rig.publish_row(merge("winner", "p1"))
        await eventually(lambda: at_seq(rig, PROFILE_EVENTS.name, q, 1))
        skipped = [reason for status, reason in fates.values() if status == "skipped"]
        await eventually(lambda: told(rig, len(skipped)))
    messages = await rig.messages()
    assert {m["entry_id"]: (m["status"], m["reason"]) for m in messages} == fates
    assert by_outcome(published := await rig.published()) == [("skipped", reason) for reason in skipped]
    assert {outcome.profile_id for outcome in published} <= {"winner"}


async def test_what_waits_for_who_is_taken_apart_again_goes_to_whom_it_was_decided_for(rig: Rig) -> None:
    for name in ("p1", "winner", "new"):
        await rig.customer(name, first_name=name)
    q = partition_of("winner", PARTITIONS)
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(lambda: has_messages(rig, 1))
        await joined(rig, "p1", "winner")
        await rig.publish_row(merge("winner", "p1"))
        await eventually(lambda: at_seq(rig, PROFILE_EVENTS.name, q, 1))
    await joined(rig, "p1", "new")  # what an unmerge does
    async with rig.running():
        await eventually(lambda: told(rig, 1))
    assert [sent.text for sent in scripted(rig).sent] == ["Hi new"]
    (outcome,) = await rig.published()
    assert outcome.profile_id == "new"


async def test_a_message_stays_with_whom_it_was_sent_to(rig: Rig) -> None:
    for name in ("p1", "winner", "new"):
        await rig.customer(name, first_name=name)
    q = partition_of("winner", PARTITIONS)
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: told(rig, 1))
        await joined(rig, "p1", "winner")
        await rig.publish_row(merge("winner", "p1"))
        await rig.enter("p1", "e2")
        await eventually(lambda: told(rig, 2))
        await joined(rig, "p1", "new")
        await rig.publish_row(ErasureRow(seq=2, epoch=1, time=START, low=START, profile_id="winner"))
        await eventually(lambda: at_seq(rig, PROFILE_EVENTS.name, q, 2))
    sent = {m["entry_id"]: (m["profile_id"], m["address"] is None) for m in await rig.messages()}
    assert sent == {"e1": ("p1", False), "e2": ("winner", True)}


async def test_a_record_that_cannot_be_read_goes_aside_and_the_partition_goes_on(rig: Rig) -> None:
    await rig.customer("p1")
    q = partition_of("p1", PARTITIONS)
    async with rig.running():
        await rig.publish(SEGMENT_CHANGES.name, q, b"{not json")
        await rig.publish(SEGMENT_CHANGES.name, q, b'{"type":"track"}')
        await rig.publish(SEGMENT_CHANGES.name, q, entered("p1", "e0", at=START).replace(b'Z"', b'?"'))
        await rig.publish(SEGMENT_CHANGES.name, q, entered("p1", "\0", at=START))
        await rig.publish(SEGMENT_CHANGES.name, q, entered("p1", "e" * 3000, at=START))
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
    assert await rig.dead_letters(q) == 5
    assert await rig.statuses() == ["accepted"]


async def test_a_record_that_no_store_numbered_goes_aside(rig: Rig) -> None:
    await rig.customer("p1")
    q = partition_of("p1", PARTITIONS)
    topic = rig.topic_prefix + SEGMENT_CHANGES.name
    async with rig.running():
        await rig.log.append(topic, q, [NewRecord(b"k", entered("p1", "e0", at=START))])
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
    assert await rig.dead_letters(q) == 1
    assert await rig.statuses() == ["accepted"]


async def test_a_hole_stops_the_partition_until_it_is_filled(rig: Rig) -> None:
    await rig.customer("p1")
    q = partition_of("p1", PARTITIONS)
    async with rig.running("follow") as messenger:
        await rig.enter("p1", "e1", seq=1)
        await rig.enter("p1", "e3", seq=3)
        gaps = messenger.metrics.gaps.labels(SEGMENT_CHANGES.name, q)
        halted = messenger.metrics.halted.labels(q)
        await eventually(lambda: is_at(gaps, 1))
        await eventually(lambda: at_seq(rig, SEGMENT_CHANGES.name, q, 1))
        assert len(await rig.messages()) == 1
        assert halted._value.get() == 1
        halted.set(0)  # as the runner does for a worker that keeps going
        await eventually(lambda: is_at(halted, 1))
        await rig.enter("p1", "e2", seq=2)
        await rig.enter("p1", "e3", seq=3)
        await rig.enter("p1", "e3", seq=3)
        await eventually(lambda: at_seq(rig, SEGMENT_CHANGES.name, q, 3))
        assert halted._value.get() == 0
    assert len(await rig.messages()) == 3


async def test_a_new_epoch_of_the_segmenter_goes_on_and_sends_nothing_again(rig: Rig) -> None:
    await rig.customer("p1")
    q, topic = partition_of("p1", PARTITIONS), SEGMENT_CHANGES.name
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: told(rig, 1))
        await rig.publish(topic, q, entered("p1", "e1", at=START), seq=1, epoch=2)
        await rig.publish(topic, q, entered("p1", "old", at=START), seq=2, epoch=1)
        await rig.publish(topic, q, entered("p1", "e2", at=START), seq=2, epoch=2)
        await eventually(lambda: told(rig, 2))
    assert [m["entry_id"] for m in sorted(await rig.messages(), key=lambda m: m["entry_id"])] == ["e1", "e2"]
    assert len(scripted(rig).sent) == 2


async def is_at(metric: object, value: float) -> bool:
    return bool(metric._value.get() == value)  # type: ignore[attr-defined]


async def test_unsubscribing_works_at_once_and_is_told_once(rig: Rig) -> None:
    mail = campaign(id="mail", steps=[{"send": {"channels": ["email"], "template": "hello-mail"}}])
    await rig.define(MAIL, mail, campaign(state="draft"))
    await rig.customer("p1")
    async with rig.running() as messenger:
        await rig.enter("p1", "e1")
        await eventually(lambda: told(rig, 1))
        (sent,) = scripted(rig).sent
        assert sent.one_click_url is not None
        for _ in range(2):
            assert await messenger.unsubscribes.unsubscribe(sent.id, rig.clock())
        await rig.enter("p1", "e2")
        await eventually(lambda: told(rig, 3))
    expected = [("accepted", None), ("skipped", "suppressed"), ("unsubscribed", None)]
    assert by_outcome(await rig.published()) == expected
