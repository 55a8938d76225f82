"""Processes that lease tokens of one bucket: whatever they do, together they keep to the rate."""

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.rate.allowance import Allowance
from headrace.runtime.rate.bucket import Bucket, Grant, Rate

RATES = st.builds(
    Rate, st.sampled_from([0.1, 0.5, 1.0, 7.0, 50.0, 1000.0]), st.sampled_from([1, 2, 10, 100, 1_000, 20_000])
)


@dataclass
class Process:
    """One process, with a lease that is on its way for as long as the test wants."""

    allowance: Allowance
    skew: int
    under_way: list[tuple[int, Grant]] = field(default_factory=list)


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[Rate, list[int], list[tuple[int, str, int]]]:
    skews = draw(st.lists(st.integers(-3_600_000, 3_600_000), min_size=1, max_size=4))
    step = st.tuples(
        st.integers(0, len(skews) - 1),
        st.sampled_from(["request", "request", "request", "flood", "answer", "lost", "time"]),
        st.integers(1, 5_000),
    )
    return draw(RATES), skews, draw(st.lists(step, max_size=120))


@given(interleavings(), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_never_more_than_the_burst_the_rate_and_a_swing_for_each_process(
    case: tuple[Rate, list[int], list[tuple[int, str, int]]], cost: int
) -> None:
    """In every window of time, not only from the start. Clocks of processes differ; the bucket has its own."""
    rate, skews, steps = case
    bucket, now = Bucket(rate, rate.burst, 0), 0
    processes = [Process(Allowance(rate), skew) for skew in skews]
    passed: list[tuple[int, int]] = []
    for which, action, size in steps:
        process = processes[which]
        if action == "time":
            now += size
        elif action in ("answer", "lost") and process.under_way:
            wanted, grant = process.under_way.pop(0)
            process.allowance.granted(wanted, grant if action == "answer" else Grant(0, 0.0), now + process.skew)
        elif action in ("request", "flood"):
            for _ in range(min(size, 300) if action == "flood" else 1):
                if process.allowance.take(cost, now + process.skew):
                    passed.append((now, cost))
                if wanted := process.allowance.wanted(now + process.skew):
                    process.allowance.leasing = True
                    process.under_way.append((wanted, bucket.lease(wanted, now)))
    beyond = len(processes) * (rate.swing + cost - 1)
    for first, (start, _) in enumerate(passed):
        total = 0
        for at, spent in passed[first:]:
            total += spent
            assert total <= rate.burst + rate.per_second * (at - start) / 1000 + beyond + 1e-6


@given(RATES, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_who_keeps_to_the_rate_is_never_refused_for_long(rate: Rate, count: int) -> None:
    """Whoever waits as long as he was told gets through, also when all processes are in debt."""
    bucket, now = Bucket(rate, rate.burst, 0), 0
    processes = [Allowance(rate) for _ in range(count)]

    def request(process: Allowance) -> bool:
        done = process.take(1, now)
        if wanted := process.wanted(now):
            process.leasing = True
            process.granted(wanted, bucket.lease(wanted, now), now)
        return done

    for process in processes:
        while request(process):
            pass
    waits = 0
    while not request(processes[0]):
        now += processes[0].retry_after(now) * 1000
        waits += 1
    assert waits <= 3
    assert now <= 1000 * math.ceil(2 + (count + 1) * rate.swing / rate.per_second + 2 / rate.per_second)


def test_a_single_process_lets_the_whole_burst_through_and_says_when_to_come_back() -> None:
    rate = Rate(10.0, 100)
    bucket, allowance = Bucket(rate, 100, 0), Allowance(rate)
    passed = 0
    while allowance.take(1, 0):
        passed += 1
        if wanted := allowance.wanted(0):
            allowance.leasing = True
            allowance.granted(wanted, bucket.lease(wanted, 0), 0)
    assert 100 <= passed <= 100 + rate.swing
    assert allowance.retry_after(0) == 1


def test_a_request_never_waits_for_the_bucket_but_debt_has_an_end() -> None:
    rate = Rate(1.0, 100)
    allowance = Allowance(rate)
    assert allowance.wanted(0) > 0
    allowance.leasing = True  # and the answer does not come
    debt = rate.swing // 2
    assert [allowance.take(1, 0) for _ in range(debt + 2)] == [True] * debt + [False] * 2


def test_full_batches_of_one_client_pass_while_the_bucket_is_asked() -> None:
    allowance = Allowance(Rate(1_000.0, 10_000))
    assert allowance.wanted(0) > 0
    allowance.leasing = True
    assert [allowance.take(500, 0) for _ in range(5)] == [True] * 5


def test_a_bucket_earns_nothing_by_a_clock_that_goes_back() -> None:
    bucket = Bucket(Rate(1.0, 5), 5, 10_000)
    assert bucket.lease(5, 10_000) == Grant(5, 0)
    assert bucket.lease(5, 1_000) == Grant(0, 0)
    assert bucket.lease(5, 10_000) == Grant(0, 0)
    assert bucket.lease(5, 12_000) == Grant(2, 0)
