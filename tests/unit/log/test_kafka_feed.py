"""What was fetched and not yet read is handed out once for each position, in order, whatever the readers ask."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.log.kafka.feed import Feed, weight
from headrace.log.port import Record


def records(first: int, count: int) -> list[Record]:
    return [Record("topic", 0, offset, 0, b"key", b"%d" % offset, ()) for offset in range(first, first + count)]


def test_a_reader_goes_through_what_was_fetched() -> None:
    feed = Feed(5)
    assert feed.take(5, 10) == []
    feed.add(records(5, 4))
    assert feed.take(5, 2) == records(5, 2)
    assert feed.take(5, 2) == records(5, 2), "what was taken can be taken again"
    assert feed.take(7, 10) == records(7, 2)
    assert (feed.begin, feed.position) == (7, 9)
    assert feed.take(9, 10) == []
    assert feed.size == 0


def test_it_serves_where_it_is_and_no_other_place() -> None:
    feed = Feed(5)
    feed.add(records(5, 4))
    assert [feed.has(offset) for offset in (4, 5, 9, 10)] == [False, True, True, False]
    feed.aim(100)
    assert feed.has(100)
    assert not feed.has(9)
    assert feed.size == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 7)), max_size=40))
def test_nothing_is_skipped_or_repeated_and_the_size_is_what_is_held(steps: list[tuple[bool, int]]) -> None:
    feed, read, fetched = Feed(0), 0, 0
    for fetch, count in steps:
        if fetch:
            feed.add(records(fetched, count))
            fetched += count
        else:
            taken = feed.take(read, count)
            assert taken == records(read, min(count, fetched - read))
            read += len(taken)
        held = records(feed.begin, feed.position - feed.begin)
        assert feed.size == sum(weight(record) for record in held)


def test_a_hole_belongs_to_the_records_behind_it() -> None:
    feed = Feed(5)
    feed.add(records(8, 2))
    assert [feed.has(offset) for offset in (4, 5, 7, 8, 10, 11)] == [False, True, True, True, True, False]
    assert feed.take(5, 1) == records(8, 1)
    assert feed.take(6, 9) == records(8, 2)
    assert feed.take(9, 9) == records(9, 1)
    assert feed.begin == 9


def test_whoever_goes_elsewhere_takes_no_hole_along() -> None:
    feed = Feed(5)
    feed.hole = 5, 8
    feed.aim(5)
    assert feed.hole is None, "what was fetched before the seek would be taken for what follows 5"
