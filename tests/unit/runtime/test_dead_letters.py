"""What a dead letter keeps of the record it stands for."""

import msgspec
import pytest

from headrace.contracts.dead_letter import DeadLetter
from headrace.log.port import MAX_RECORD_BYTES, NewRecord, Record
from headrace.runtime.dead_letters import dead_letter

TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def letter_of(record: Record) -> tuple[NewRecord, DeadLetter]:
    new = dead_letter(record, "undecodable", "detail", service="test", at=5)
    return new, msgspec.json.decode(new.value or b"", type=DeadLetter)


def test_the_record_is_kept_whole_with_where_it_stood_and_its_trace() -> None:
    record = Record("t", 1, 2, 3, b"key", b"\xff{", (TRACE,))
    new, letter = letter_of(record)
    assert (letter.raw, letter.headers, letter.complete) == (b"\xff{", (TRACE,), True)
    assert (letter.origin_topic, letter.origin_partition, letter.origin_offset, letter.at) == ("t", 1, 2, 5)
    assert new.key == b"key"
    assert TRACE in new.headers


def test_a_repeat_is_recognised() -> None:
    record = Record("t", 1, 2, 3, None, b"{", ())
    assert letter_of(record)[1].id == letter_of(record)[1].id


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"k", b"x" * (MAX_RECORD_BYTES - 1), ()),
        (b"k" * (MAX_RECORD_BYTES - 1), b"x", ()),
        (None, b"x", (("h", b"x" * (MAX_RECORD_BYTES - 1)),)),
    ],
    ids=["value", "key", "headers"],
)
def test_the_largest_record_has_a_letter_that_the_log_takes(
    key: bytes | None, value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    new, letter = letter_of(Record("t", 1, 2, 3, key, value, headers))
    assert new.size() <= MAX_RECORD_BYTES
    assert letter.complete is (len(value) == 1 and not headers)
