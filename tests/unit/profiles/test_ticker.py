"""Postgres' clock between two replies: carried on, never ahead."""

from hypothesis import given
from hypothesis import strategies as st

from services.profiles.ticker import CARRIED_SECONDS, PostgresClock


class Monotonic:
    """A clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_it_is_unknown_before_it_was_told() -> None:
    assert PostgresClock(Monotonic()).now() is None


def test_it_goes_on_for_a_moment_and_is_then_asked_for_again() -> None:
    monotonic = Monotonic()
    clock = PostgresClock(monotonic)
    clock.told(50_000)
    monotonic.now += 0.25
    assert clock.now() == 50_249
    monotonic.now += CARRIED_SECONDS
    assert clock.now() is None


@given(
    underway=st.floats(min_value=0, max_value=30),
    since=st.floats(min_value=0, max_value=CARRIED_SECONDS),
    drift=st.floats(min_value=-500e-6, max_value=500e-6),
)
def test_it_is_never_ahead_of_the_clock_that_it_follows(underway: float, since: float, drift: float) -> None:
    """The reply was on its way for a while, and the clocks' rates differ as much as NTP lets them."""
    monotonic = Monotonic()
    clock = PostgresClock(monotonic)
    clock.told(50_000)
    monotonic.now += since
    now, really = clock.now(), 50_000 + 1000 * (underway + since) * (1 + drift)
    assert now is None or now <= really
