"""A topic is deleted and made again while the platform runs, and somebody does what the alarms say."""

import asyncio
import signal
import time
from functools import partial

import asyncpg

from headrace.log.connect import connect_log
from headrace.log.port import Log
from tests.e2e.wait import wait_until
from tests.faults.evidence import EVENTS, MESSAGES, PROFILE_EVENTS, SEGMENT_CHANGES
from tests.faults.platform import PARTITIONS, Platform
from tests.faults.recreated_topic import recreate
from tests.faults.suite import Row

_APPEND_SECONDS = 0.3
_HORIZON_MS = 600_000
_APPLIED = {
    PROFILE_EVENTS: "SELECT partition, seq FROM messenger.input_position WHERE topic = $1",
    SEGMENT_CHANGES: (
        "SELECT partition, min(seq) AS seq FROM (SELECT partition, seq FROM messenger.input_position "
        "WHERE topic = $1 UNION ALL SELECT partition, seq FROM segmenter.follower) AS receiver GROUP BY partition"
    ),
}
"""The last number that every receiver of a topic has applied, by partition."""


def outputs_recreated(topic: str, publisher: str) -> Row:
    """A topic that a store can fill again, while a receiver has not read all of it."""

    def fault(platform: Platform) -> float:
        time.sleep(1)
        platform.signal("messenger", signal.SIGSTOP)
        time.sleep(0.5)
        platform.witness.read_topics()
        before = platform.said("messenger").count("log_replaced")
        _recreate(platform, topic)
        platform.resume(["messenger"])
        wait_until(lambda: platform.said("messenger").count("log_replaced") > before, 40, what="the alarm")
        over = time.time()
        for partition, seq in asyncio.run(_applied(platform, topic)).items():
            wait_until(partial(_republished, platform, publisher, partition, seq + 1), 40)
        return over

    return Row(f"topic recreated: {topic}", fault, seconds=4)


def _republished(platform: Platform, publisher: str, partition: int, from_seq: int) -> bool:
    wanted = {"partition": partition, "from_seq": from_seq}
    return platform.api.admin.post(f"{platform.stack.url(publisher)}/v1/republish", json=wanted).is_success


async def _applied(platform: Platform, topic: str) -> dict[int, int]:
    connection = await asyncpg.connect(platform.postgres.url)
    try:
        return {row["partition"]: row["seq"] for row in await connection.fetch(_APPLIED[topic], topic)}
    finally:
        await connection.close()


def _events_recreated(platform: Platform) -> float:
    """What was answered is applied before: what only the lost topic held would be lost."""
    time.sleep(1)
    platform.signal("ingest", signal.SIGSTOP)
    time.sleep(_APPEND_SECONDS)  # what is on its way lands
    wait_until(lambda: asyncio.run(_all_applied(platform)), 40, what="all events to be applied")
    return _put_right_as_told(platform, EVENTS, "ingest")


def _put_right_as_told(platform: Platform, topic: str, stopped: str) -> float:
    """The topic is made anew, `stopped` goes on, the profile service says what to do, and it is done. When it was
    said."""
    before = platform.said("profiles").count("UPDATE profiles.input")
    _recreate(platform, topic)
    platform.resume([stopped])
    alarmed = "the profile service to say what to do"
    wait_until(lambda: platform.said("profiles").count("UPDATE profiles.input") > before, 40, what=alarmed)
    over = time.time()
    asyncio.run(_read_anew(platform, topic))
    return over


async def _outcomes_applied(platform: Platform) -> bool:
    connection = await asyncpg.connect(platform.postgres.url)
    try:
        sql = "SELECT sum(next_offset) > 0 FROM profiles.input WHERE topic = $1"
        return bool(await connection.fetchval(sql, MESSAGES))
    finally:
        await connection.close()


async def _all_applied(platform: Platform) -> bool:
    connection, log = await asyncpg.connect(platform.postgres.url), await _connected(platform)
    try:
        rows = await connection.fetch("SELECT q, next_offset FROM profiles.input WHERE topic = $1", EVENTS)
        ends = [(await log.bounds(EVENTS, row["q"])).end for row in rows]
        return ends == [row["next_offset"] for row in rows]
    finally:
        await connection.close()
        await log.close()


async def _read_anew(platform: Platform, topic: str) -> None:
    connection = await asyncpg.connect(platform.postgres.url)
    await connection.execute("UPDATE profiles.input SET next_offset = 0 WHERE topic = $1", topic)
    await connection.close()


def _recreate(platform: Platform, topic: str) -> None:
    asyncio.run(_made_anew(platform, topic))
    platform.witness.replaced(topic)


async def _made_anew(platform: Platform, topic: str) -> None:
    log = await _connected(platform)
    try:
        await recreate(log, platform.log.url, topic, PARTITIONS)
    finally:
        await log.close()


async def _connected(platform: Platform) -> Log:
    return await connect_log(platform.log.url, rollback_horizon_ms=_HORIZON_MS)


def _outcomes_recreated(platform: Platform) -> float:
    """What the profile service has not read of them is in the messenger's ledger."""
    wait_until(lambda: asyncio.run(_outcomes_applied(platform)), 40, what="an outcome to be applied")
    platform.signal("profiles", signal.SIGSTOP)
    time.sleep(0.5)
    platform.witness.read_topics()
    over = _put_right_as_told(platform, MESSAGES, "profiles")
    for partition in range(PARTITIONS):
        wait_until(partial(_republished, platform, "messenger", partition, 1), 40)
    return over


RECREATED = [
    Row(f"topic recreated: {EVENTS}", _events_recreated, seconds=4),
    outputs_recreated(PROFILE_EVENTS, "profiles"),
    outputs_recreated(SEGMENT_CHANGES, "segmenter"),
    Row(f"topic recreated: {MESSAGES}", _outcomes_recreated, seconds=4),
]
