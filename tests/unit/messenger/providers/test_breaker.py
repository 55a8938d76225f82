"""The breaker, by property: over any history of answers and instants."""

from hypothesis import given
from hypothesis import strategies as st

from services.messenger.providers.breaker import FAILURES, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, PROBE_MS, Breaker

START = 1_700_000_000_000
LONGEST_MS = max(LONGEST_PAUSE_MS, PROBE_MS)

steps = st.lists(
    st.tuples(st.sampled_from(["begin", "ok", "fail"]), st.integers(0, 2 * LONGEST_MS)), min_size=1, max_size=60
)


def opened(now: int = START) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now)
    return breaker


@given(steps)
def test_it_opens_after_failures_in_a_row_and_not_before(history: list[tuple[str, int]]) -> None:
    breaker, now, in_a_row = Breaker(), START, 0
    for what, later in history:
        now += later
        if what == "begin":
            breaker.began(now)
        elif what == "ok":
            breaker.succeeded()
            in_a_row = 0
        else:
            breaker.failed(now)
            in_a_row += 1
        assert breaker.closed == (in_a_row < FAILURES)
        assert (breaker.room(now) is None) == breaker.closed


@given(steps)
def test_it_never_stays_open_for_good_and_lets_one_through_at_a_time(history: list[tuple[str, int]]) -> None:
    breaker, now = Breaker(), START
    for what, later in history:
        now += later
        if what == "begin":
            room = breaker.room(now)
            breaker.began(now)
            if room == 1:
                assert breaker.room(now) == 0, "a probe is out, and no other goes"
        elif what == "ok":
            breaker.succeeded()
        else:
            breaker.failed(now)
    assert now <= breaker.next_at(now) <= now + LONGEST_MS
    assert breaker.room(breaker.next_at(now)) != 0
    assert breaker.room(now) == 0 or breaker.next_at(now) == now


@given(steps, st.integers(0, 10**9))
def test_a_clock_that_is_set_back_lengthens_nothing(history: list[tuple[str, int]], back: int) -> None:
    breaker, now = Breaker(), START
    for what, later in history:
        now += later
        if what == "ok":
            breaker.succeeded()
        else:
            (breaker.began if what == "begin" else breaker.failed)(now)
    assert breaker.next_at(now - back) - (now - back) <= LONGEST_MS


def test_each_probe_that_fails_doubles_the_pause() -> None:
    breaker, now, pauses = opened(), START, []
    for _ in range(6):
        pauses.append(breaker.next_at(now) - now)
        now = breaker.next_at(now)
        assert breaker.room(now) == 1
        breaker.began(now)
        breaker.failed(now)
    assert pauses == [min(FIRST_PAUSE_MS * 2**n, LONGEST_PAUSE_MS) for n in range(6)]


def test_what_was_under_way_when_it_opened_prolongs_nothing() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(START + 1)
    assert breaker.next_at(START + 1) == START + FIRST_PAUSE_MS


def test_a_probe_without_a_word_is_followed_by_another() -> None:
    breaker = opened()
    probe = START + FIRST_PAUSE_MS
    breaker.began(probe)
    assert breaker.room(probe + PROBE_MS - 1) == 0
    assert breaker.room(probe + PROBE_MS) == 1
