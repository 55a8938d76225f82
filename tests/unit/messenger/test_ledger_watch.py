"""What waits in the ledger is shown: due messages, journeys, messages of unknown fate; and how long all took."""

from headrace.contracts.headers import RECEIVED, carried_receipt
from headrace.contracts.topics import PROFILE_EVENTS, SEGMENT_CHANGES, partition_of
from headrace.log.port import NewRecord
from headrace.runtime.metrics import Metrics
from services.messenger.ledger_watch import LedgerWatch
from services.messenger.providers.port import Unsure
from tests.unit.messenger.rig import (
    PARTITIONS,
    START,
    Rig,
    ScriptedProvider,
    campaign,
    entered,
    eventually,
)

HELD = {"id": "later", "steps": [{"wait": "1h"}, {"send": {"channels": ["sms"], "template": "hello"}}]}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"headrace_{name}", labels)


async def define(rig: Rig, *campaigns: dict[str, object]) -> None:
    template = {"kind": "template", "id": "hello", "channel": "sms", "text": "Hi"}
    await rig.customer("p1")
    await rig.define(template, *campaigns)


async def enter(rig: Rig, entry: str, received_at: int) -> None:
    """As the segmenter does, with when the event was received."""
    partition = partition_of("p1", PARTITIONS)
    record = rig.numbered(SEGMENT_CHANGES.name, partition, entered("p1", entry, at=rig.clock()))
    headers = (*record.headers, (RECEIVED, b"%d" % received_at))
    topic = rig.topic_prefix + SEGMENT_CHANGES.name
    await rig.log.append(topic, partition, [NewRecord(record.key, record.value, headers)])


async def test_what_is_due_and_what_waits(rig: Rig) -> None:
    await define(rig, campaign(), campaign(**HELD))
    metrics = Metrics("messenger")
    watch = LedgerWatch(rig.pool, metrics, clock=rig.clock)
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(rig.entries)
    await watch.look()
    assert value(metrics, "messages_due", channel="sms") == 1
    assert value(metrics, "journeys_waiting") == 1
    assert value(metrics, "journeys_due") == 0
    rig.clock.now += 3_700_000
    await watch.look()
    assert value(metrics, "messages_due_oldest_age_seconds", channel="sms") == 3_700
    assert value(metrics, "journeys_due") == 1
    await rig.pool.execute("UPDATE definition SET state = 'paused' WHERE kind = 'campaign'")
    await watch.look()
    assert value(metrics, "messages_due", channel="sms") == 0, "a paused campaign's messages are not late"
    assert value(metrics, "journeys_due") == 0
    assert (value(metrics, "clock_skew_seconds") or 0) > 3_600, "this clock stands in 2023"


async def test_unknown_messages_with_their_age(rig: Rig) -> None:
    provider = ScriptedProvider()
    provider.script = [Unsure("timeout")]
    rig.provider = provider
    await define(rig, campaign())
    metrics = Metrics("messenger")
    watch = LedgerWatch(rig.pool, metrics, clock=rig.clock)
    await watch.look()
    assert value(metrics, "messages_unknown", channel="sms") is None
    async with rig.running("follow", "sender"):
        await rig.enter("p1", "e1")
        await eventually(lambda: is_unknown(rig))
    rig.clock.now += 90_000
    await watch.look()
    assert value(metrics, "messages_unknown", channel="sms") == 1
    assert value(metrics, "messages_unknown_oldest_age_seconds", channel="sms") == 90
    await rig.pool.execute("UPDATE message SET status = 'delivered' WHERE status = 'unknown'")
    await watch.look()
    assert value(metrics, "messages_unknown", channel="sms") == 0


async def is_unknown(rig: Rig) -> bool:
    return await rig.statuses() == ["unknown"]


async def test_from_the_receipt_of_the_event_to_the_providers_answer(rig: Rig) -> None:
    await define(rig, campaign())
    async with rig.running() as messenger:
        await enter(rig, "e1", received_at=START - 3_000)
        await eventually(lambda: is_accepted(rig, 1))
        assert value(messenger.metrics, "event_to_provider_seconds_sum", channel="sms") == 3
        assert value(messenger.metrics, "sends_limit", channel="sms") == 4
        await rig.enter("p1", "e2")
        await eventually(lambda: is_accepted(rig, 2))
        assert value(messenger.metrics, "event_to_provider_seconds_count", channel="sms") == 1, (
            "nothing was received"
        )


async def test_a_message_that_was_put_off_says_nothing_of_speed(rig: Rig) -> None:
    await define(rig, campaign(**{**HELD, "id": "welcome"}))
    async with rig.running() as messenger:
        await enter(rig, "e1", received_at=START - 3_000)
        await eventually(rig.entries)
        rig.clock.now += 3_700_000
        messenger.runner.wake()
        await eventually(lambda: is_accepted(rig, 1))
        assert value(messenger.metrics, "entry_to_provider_seconds_count", channel="sms") == 1
        assert value(messenger.metrics, "event_to_provider_seconds_count", channel="sms") is None


async def is_accepted(rig: Rig, count: int) -> bool:
    return await rig.statuses() == ["accepted"] * count


async def test_all_three_inputs_are_looked_at(rig: Rig) -> None:
    await define(rig, campaign())
    async with rig.running("follow") as messenger:
        await rig.enter("p1", "e1")
        await eventually(rig.entries)
        backlogs = messenger.worker.backlogs
        await eventually(lambda: all_known(rig, messenger.metrics, backlogs.look))
        topic = rig.topic_prefix + PROFILE_EVENTS.name
        await rig.publish_tick(0)
        assert value(messenger.metrics, "lag_records", topic=topic, partition="0") == 0


async def all_known(rig: Rig, metrics: Metrics, look: object) -> bool:
    await look()  # type: ignore[operator]
    topics = {sample.labels["topic"] for family in metrics.oldest_age.collect() for sample in family.samples}
    return len(topics) == 3


def test_a_receipt_that_is_nonsense_is_none() -> None:
    assert carried_receipt(((RECEIVED, b"1700000000000"),)) == 1_700_000_000_000
    for raw in (b"", b"-1", b"yesterday", b"9" * 100, "²".encode()):
        assert carried_receipt(((RECEIVED, raw),)) == 0
    assert carried_receipt(()) == 0
