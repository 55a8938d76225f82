"""What holdout and split say, tried on people drawn by chance: 200 campaigns with 2,000 people a side."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.stats import Sample, Share
from services.messenger.verdict import Verdict, choose, mean_uplift, uplift

SEEDS = range(200)
PEOPLE = 2000
BASE = 0.2


def drawn(chance: random.Random, rate: float) -> Share:
    return Share(sum(chance.random() < rate for _ in range(PEOPLE)), PEOPLE)


def pairs(rate: float) -> list[tuple[Share, Share]]:
    """For each seed a group with this rate, and one with the base rate."""
    found = []
    for seed in SEEDS:
        chance = random.Random(seed)
        found.append((drawn(chance, rate), drawn(chance, BASE)))
    return found


@pytest.mark.parametrize(("rate", "at_least"), [(BASE * 1.2, 0.90), (BASE + 0.2, 1.0)])
def test_a_planted_effect_is_found(rate: float, at_least: float) -> None:
    planted = pairs(rate)
    by_holdout = [uplift(one, base).effect for one, base in planted].count("positive")
    by_split = [split(one, base).variant for one, base in planted].count("b")
    assert by_holdout >= at_least * len(SEEDS)
    assert by_split >= at_least * len(SEEDS)


def test_where_there_is_no_effect_none_is_reported() -> None:
    planted = pairs(BASE)
    by_holdout = [uplift(one, base).effect for one, base in planted].count("none")
    by_split = [split(one, base).outcome for one, base in planted].count("none")
    assert by_holdout >= 0.93 * len(SEEDS)
    assert by_split >= 0.93 * len(SEEDS)


def test_several_challengers_do_not_make_a_winner_of_chance() -> None:
    won = 0
    for seed in SEEDS:
        chance = random.Random(seed)
        shares = {name: drawn(chance, BASE) for name in "abcde"}
        won += choose(shares, against="a", confidence=0.95, fallback=None).variant is not None
    assert won <= 0.07 * len(SEEDS)


def test_harm_is_reported() -> None:
    harmed = [uplift(base, one).effect for one, base in pairs(BASE + 0.2)]
    assert set(harmed) == {"negative"}


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_what_is_said_is_what_the_interval_shows(treated: int, held: int, data: st.DataObject) -> None:
    one = Share(data.draw(st.integers(0, treated)), treated)
    base = Share(data.draw(st.integers(0, held)), held)
    said = uplift(one, base)
    assert said.interval is not None
    if said.p_value is not None and abs(said.p_value - 0.05) > 1e-6:
        assert (said.effect == "positive") == (said.interval.low > 1e-9)
    if said.effect == "negative":
        assert said.interval.high < 0
    assert said.difference is not None
    assert said.interval.low - 1e-9 <= said.difference <= said.interval.high + 1e-9
    assert said.extra == pytest.approx(said.difference * treated)


def test_the_best_of_those_that_are_better_wins() -> None:
    shares = {"a": Share(400, 2000), "b": Share(480, 2000), "c": Share(520, 2000), "d": Share(405, 2000)}
    verdict = choose(shares, against="a", confidence=0.95, fallback="d")
    assert (verdict.outcome, verdict.variant) == ("better", "c")
    assert {one.variant: one.is_better for one in verdict.comparisons} == {"b": True, "c": True, "d": False}
    assert verdict.level == pytest.approx(1 - 2 * 0.05 / 3)


def test_without_a_winner_the_fallback_is_taken_or_the_weights_stay() -> None:
    shares = {"a": Share(400, 2000), "b": Share(410, 2000)}
    assert choose(shares, against="a", confidence=0.95, fallback="b").variant == "b"
    assert choose(shares, against="a", confidence=0.95, fallback=None).variant is None
    # the one to beat being better is no challenger's win
    assert choose(shares, against="b", confidence=0.5, fallback=None).outcome == "none"


def test_nothing_is_said_without_a_control_group() -> None:
    said = uplift(Share(5, 10), Share(0, 0))
    assert (said.effect, said.difference, said.interval, said.p_value, said.extra) == (
        "none",
        None,
        None,
        None,
        None,
    )
    assert mean_uplift(Sample(10, 50.0, 300.0), Sample(0, 0.0, 0.0)).difference is None


def test_an_amount_is_compared_by_person() -> None:
    said = mean_uplift(Sample(1000, 12_000.0, 200_000.0), Sample(1000, 10_000.0, 150_000.0))
    assert (said.treated, said.holdout, said.difference) == (12.0, 10.0, 2.0)
    assert said.interval is not None
    assert said.interval.low < 2 < said.interval.high
    # standard errors: sqrt((200000/1000 - 144 + 150000/1000 - 100) / 999), and 1.6455 is t's 95th percentile
    assert said.interval.high - said.interval.low == pytest.approx(2 * 1.6456 * (106 / 999) ** 0.5, rel=1e-3)


def split(one: Share, base: Share) -> Verdict:
    return choose({"a": base, "b": one}, against="a", confidence=0.95, fallback=None)
