"""How much is read at once."""

from headrace.log.port import Record
from services.profiles.input import FIRST_READ, READ_BYTES, READ_RECORDS, next_room


def records(count: int, size: int = 500) -> list[Record]:
    return [Record("cdp.events.v1", 0, offset, 0, None, b"x" * size, ()) for offset in range(count)]


def test_a_backlog_is_read_in_ever_larger_pieces_up_to_the_limit() -> None:
    room, rooms = FIRST_READ, []
    for _ in range(5):
        room = next_room(room, records(room))
        rooms.append(room)
    assert rooms == [1_000, 2_000, 4_000, 4_000, 4_000]
    assert rooms[-1] == READ_RECORDS


def test_who_has_caught_up_starts_small_again() -> None:
    assert next_room(READ_RECORDS, records(READ_RECORDS - 1)) == FIRST_READ


def test_large_records_are_read_a_few_at_a_time() -> None:
    size = 32_768
    room = next_room(1_000, records(1_000, size))
    assert room * size <= READ_BYTES < 2_000 * size


def test_a_record_larger_than_the_limit_is_still_read() -> None:
    assert next_room(1, records(1, READ_BYTES + 1)) == 1


def test_tombstones_count_nothing() -> None:
    assert next_room(FIRST_READ, [Record("t", 0, 0, 0, None, None, ())] * FIRST_READ) == 2 * FIRST_READ
