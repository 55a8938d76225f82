"""Batches keep their limits and each customer's order; the position never passes what is not acknowledged."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.importing.lanes import MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, Batch, Lanes
from headrace.importing.outcome import Outgoing


def outgoing(place: int, customer: int, size: int) -> Outgoing:
    return Outgoing(place, 1, f"c{customer}", f"m{place}", b"x" * size)


_sizes = st.integers(1, 150_000)


@given(
    st.lists(st.tuples(st.integers(0, 9), _sizes), max_size=60),
    st.lists(st.integers(0, 2), max_size=60),
    st.integers(1, 4),
)
def test_no_message_is_skipped_whenever_it_stops(
    messages: list[tuple[int, int]], acknowledge_after: list[int], count: int
) -> None:
    lanes = Lanes(count)
    waiting: deque[Batch] = deque()
    acknowledged: set[int] = set()
    plan = deque(acknowledge_after)

    def settle(batches: int) -> None:
        for _ in range(min(batches, len(waiting))):
            batch = waiting.popleft()
            lanes.acknowledge(batch)
            acknowledged.update(message.line for message in batch.messages)

    for place, (customer, size) in enumerate(messages):
        if closed := lanes.add(place, outgoing(place, customer, size)):
            waiting.append(closed)
        settle(plan.popleft() if plan else 0)
        assert set(range(lanes.position())) <= acknowledged
    waiting.extend(lanes.rest())
    assert all(len(batch.body()) <= MAX_BATCH_BYTES for batch in waiting)
    settle(len(waiting))
    assert lanes.position() == len(messages)
    assert acknowledged == set(range(len(messages)))


def test_a_batch_is_full_by_number_too() -> None:
    lanes = Lanes(1)
    closed = [batch for n in range(MAX_BATCH_MESSAGES + 1) if (batch := lanes.add(n, outgoing(n, 0, 2)))]
    assert [len(batch.messages) for batch in closed] == [MAX_BATCH_MESSAGES]


def test_a_message_above_the_limit_goes_alone() -> None:
    lanes = Lanes(1)
    lanes.add(0, outgoing(0, 0, 10))
    small = lanes.add(1, outgoing(1, 0, MAX_BATCH_BYTES))
    assert small is not None
    assert [message.line for message in small.messages] == [0]
    assert [len(batch.messages) for batch in lanes.rest()] == [1]


def test_skipped_places_count_as_done() -> None:
    lanes = Lanes(2)
    lanes.skip(0)
    assert lanes.position() == 1
    lanes.add(1, outgoing(1, 0, 10))
    lanes.skip(2)
    assert lanes.position() == 1
