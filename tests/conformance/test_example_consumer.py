"""The consumers in docs/downstream.md, run as they stand there: each change once, however often it comes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from headrace.contracts.segment_change import ChangeAction, ChangeProfile, SegmentChange
from headrace.contracts.topics import SEGMENT_CHANGES, partition_of
from headrace.log.kafka import KafkaLog
from headrace.log.port import NewRecord
from tests.conformance.log_engine import HOUR_MS, closing
from tests.conformance.mock_engine import MockBroker
from tests.docs.blocks import blocks
from tests.docs.node import node_modules

pytestmark = pytest.mark.embedded

PAGE = "docs/downstream.md"
PARTITIONS = 4


def example(language: str) -> str:
    (code,) = (block.text for block in blocks(PAGE) if block.language == language)
    return code


def change(
    profile: str, segment: str, action: ChangeAction, sequence: int, *, message_id: str | None = None
) -> NewRecord:
    value = SegmentChange(
        event="Audience Entered" if action == "entered" else "Audience Exited",
        message_id=message_id or f"m{sequence}",
        user_id=None,
        anonymous_id=None,
        timestamp="2026-01-31T12:00:00.000Z",
        properties={"segment_id": segment, "action": action, "sequence": sequence},
        context={},
        profile=ChangeProfile(profile),
    )
    return NewRecord(profile.encode(), msgspec.json.encode(value))


@asynccontextmanager
async def consumer(language: str, servers: str, folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """The example's output."""
    if language == "js":
        (folder / "node_modules").symlink_to(node_modules())
    file = folder / {"python": "example.py", "js": "example.mjs"}[language]
    file.write_text(example(language))
    program = {"python": sys.executable, "js": "node"}[language]
    process = await asyncio.create_subprocess_exec(program, file, servers, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("language", ["python", "js"])
async def test_each_change_is_printed_once(language: str, tmp_path: Path) -> None:
    broker = MockBroker()
    broker.make(SEGMENT_CHANGES.name, PARTITIONS)
    once = [
        change("p1", "vip", "entered", 3),
        change("p1", "new", "entered", 4),
        change("p1", "vip", "exited", 9),
    ]
    entered, _, exited = once
    # published again after a failure: at once, late, among others, and numbered anew after a restore
    again = change("p1", "vip", "exited", 11, message_id="m9")
    stream = [entered, entered, *once[1:], entered, exited, again, change("p1", "vip", "entered", 12)]
    async with closing(await KafkaLog.connect(broker.url, rollback_horizon_ms=HOUR_MS)) as log:
        await log.append(SEGMENT_CHANGES.name, partition_of("p1", PARTITIONS), stream)
        async with consumer(language, broker.url.removeprefix("kafka://"), tmp_path) as output:
            async with asyncio.timeout(60):
                printed = [(await output.readline()).decode().strip() for _ in range(4)]
    assert printed == [
        "m3 p1 vip entered",
        "m4 p1 new entered",
        "m9 p1 vip exited",
        "m12 p1 vip entered",
    ]


@pytest.mark.parametrize("language", ["python", "js"])
def test_it_is_about_twenty_lines(language: str) -> None:
    assert len([line for line in example(language).splitlines() if line.strip()]) <= 25
