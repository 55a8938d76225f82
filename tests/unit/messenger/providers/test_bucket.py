"""The token bucket, by property: over any way of taking what there is."""

import math

from hypothesis import given
from hypothesis import strategies as st

from services.messenger.providers.bucket import BURST_SECONDS, Bucket

START = 1_700_000_000_000
rates = st.floats(0.05, 5_000, allow_nan=False)
gaps = st.lists(st.integers(0, 5_000), min_size=1, max_size=60)


@given(rates, gaps)
def test_never_more_than_the_rate_over_any_stretch(rate: float, later: list[int]) -> None:
    bucket, now = Bucket(rate, START), START
    taken: list[tuple[int, int]] = []
    for gap in later:
        now += gap
        room = bucket.room(now)
        bucket.take(room, now)
        taken.append((now, room))
    burst = max(1.0, rate * BURST_SECONDS)
    for first in range(len(taken)):
        total = sum(count for _, count in taken[first:])
        assert total <= burst + rate * (now - taken[first][0]) / 1000 + 1e-6


@given(rates, gaps)
def test_who_comes_when_told_gets_something(rate: float, later: list[int]) -> None:
    bucket, now = Bucket(rate, START), START
    for gap in later:
        now += gap
        bucket.take(bucket.room(now), now)
        at = bucket.next_at(now)
        assert now <= at <= now + math.ceil(1000 / rate) + 1000 * BURST_SECONDS + 1
        assert bucket.room(at) >= 1
        now = at


@given(rates)
def test_the_rate_is_reached(rate: float) -> None:
    """Whoever takes what there is each time it is told to come back."""
    bucket, now, taken = Bucket(rate, START), START, 0
    until = START + math.ceil(20_000 / rate) + 1_000
    while now < until:
        room = bucket.room(now)
        bucket.take(room, now)
        taken += room
        now = max(now + 1, bucket.next_at(now))
    assert taken >= 0.9 * rate * (until - START) / 1000 - 1


def test_what_was_taken_beyond_is_made_up_for() -> None:
    bucket = Bucket(10, START)
    bucket.take(21, START)
    assert bucket.next_at(START) == START + 2_100
    assert bucket.room(START + 2_099) == 0
    assert bucket.room(START + 2_100) == 1


def test_a_pause_that_the_provider_asks_for_is_kept_and_not_shortened() -> None:
    bucket = Bucket(1_000, START)
    bucket.shut(START + 7_000)
    bucket.shut(START + 1_000)
    assert bucket.next_at(START) == START + 7_000
    assert bucket.room(START + 6_999) == 0
    assert bucket.room(START + 7_000) == 100


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    bucket = Bucket(10, START)
    bucket.take(1, START)
    bucket.shut(START + 500)
    back = START - 3_600_000
    assert bucket.room(back) == 0
    assert bucket.next_at(back) == back + 500
    assert bucket.room(back + 500) == 1
