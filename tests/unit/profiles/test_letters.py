"""Which dead letters are a person's."""

import msgspec
import pytest

from headrace.contracts.dead_letter import DeadLetter
from headrace.log.port import NewRecord, Record
from services.profiles.identity import Identifier
from services.profiles.letters import erase_letters, mentions
from tests.unit.ingest.memory_log import MemoryLog, MemoryServer

TOPIC = "cdp.dead-letters.v1"
NAMES: list[Identifier] = [("user_id", "u1"), ("email", "jana@example.com"), ("phone", "+420601234567")]


def letter(raw: bytes, key: bytes | None = None) -> Record:
    value = DeadLetter(id="d", reason="bad", detail="", origin_topic="http", raw=raw, at=0)
    return Record(TOPIC, 0, 0, 0, key, msgspec.json.encode(value), ())


@pytest.mark.parametrize(
    ("raw", "key", "theirs"),
    [
        (b'{"userId": "u1"}', None, True),
        (b'{"userId": "u10"}', None, False),
        (b'{"traits": {"email": "JANA@example.com"}}', None, True),
        (b'{"phone": "601 234 567"}', None, True),
        (b'{"phone": "601 234 568"}', None, False),
        (b"\xff not JSON", b"u1", True),
        (b"\xff not JSON", b"u2", False),
        (b"", None, False),
    ],
)
def test_a_letter_is_theirs_when_it_names_them(raw: bytes, key: bytes | None, theirs: bool) -> None:
    assert mentions(letter(raw, key), NAMES) is theirs


def test_what_is_no_letter_is_looked_at_as_it_is() -> None:
    assert mentions(Record(TOPIC, 0, 0, 0, None, b'"u1"', ()), NAMES)
    assert not mentions(Record(TOPIC, 0, 0, 0, None, None, ()), NAMES)


async def test_only_theirs_are_taken_out() -> None:
    log = MemoryLog(MemoryServer())
    log._server.partitions[TOPIC, 0] = []
    bodies = [b'{"userId":"u%d"}' % (number % 10) for number in range(50)]
    await log.append(TOPIC, 0, [NewRecord(None, letter(raw).value) for raw in bodies])
    assert await erase_letters(log, TOPIC, [0], NAMES) == 5
    assert await erase_letters(log, TOPIC, [0], NAMES) == 0
    kept = [record.value is not None for record in log.records(TOPIC)]
    assert kept == [number % 10 != 1 for number in range(50)]
