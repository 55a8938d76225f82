"""Tests and intervals against published figures, against each other, and against chance."""

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.messenger.stats import (
    MIN_FOR_MEANS,
    Sample,
    Share,
    detectable,
    difference,
    mean_difference,
    p_better,
    people_needed,
    power,
    quantile,
    ratio,
    t_quantile,
    z_score,
)


@st.composite
def shares(draw: st.DrawFn) -> Share:
    people = draw(st.integers(1, 3000))
    return Share(draw(st.integers(0, people)), people)


def test_differences_are_those_of_newcombes_table() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 5 (Mee)
    found = difference(Share(56, 70), Share(48, 80), 0.95)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0533, 0.3377)
    found = difference(Share(9, 10), Share(3, 10), 0.95)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.1821, 0.8370)


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.95, 9, 1.833113), (0.975, 9, 2.262157), (0.95, 30, 1.697261), (0.975, 120, 1.979930), (0.9, 15, 1.340606)],
)
def test_students_quantiles_are_those_of_the_tables(probability: float, freedom: float, expected: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(expected, abs=2e-5)


@given(shares(), shares(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_an_interval_leaves_zero_out_exactly_when_the_test_rejects_it(
    one: Share, base: Share, level: float
) -> None:
    z = z_score(one, base)
    assume(z is not None)
    assert z is not None
    assume(abs(abs(z) - quantile((1 + level) / 2)) > 1e-6)
    found = difference(one, base, level)
    assert found is not None
    assert -1 <= found.low <= found.high <= 1
    assert (found.low > 1e-9) == (z > quantile((1 + level) / 2))
    assert (found.high < -1e-9) == (z < -quantile((1 + level) / 2))
    factors = ratio(one, base, level)
    assert (factors is None) == (base.hits == 0)
    if factors is not None:
        assert (factors.low > 1 + 1e-9) == (found.low > 1e-9)
        assert (factors.high < 1 - 1e-9) == (found.high < -1e-9)


@given(shares(), shares())
def test_turned_round_everything_is_turned_round(one: Share, base: Share) -> None:
    there, back = difference(one, base, 0.9), difference(base, one, 0.9)
    assert there is not None
    assert back is not None
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)
    z = z_score(one, base)
    if z is not None:
        assert z_score(base, one) == pytest.approx(-z)
        up, down = p_better(one, base), p_better(base, one)
        assert up is not None
        assert down is not None
        assert up + down == pytest.approx(1)


@given(shares(), shares())
def test_a_wider_level_holds_a_narrower_one(one: Share, base: Share) -> None:
    narrow, wide = difference(one, base, 0.8), difference(one, base, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low + 1e-9
    assert narrow.high <= wide.high + 1e-9


def test_nothing_is_said_of_nobody() -> None:
    nobody, some = Share(0, 0), Share(3, 10)
    assert (nobody.rate, z_score(nobody, some), p_better(some, nobody)) == (None, None, None)
    assert (difference(nobody, some, 0.9), ratio(some, nobody, 0.9), ratio(some, Share(0, 9), 0.9)) == (None,) * 3
    assert z_score(Share(0, 5), Share(0, 7)) is None
    assert z_score(Share(5, 5), Share(7, 7)) is None


@pytest.mark.parametrize(("rate", "base_rate"), [(0.24, 0.2), (0.02, 0.02), (0.5, 0.9), (0.03, 0.01)])
def test_intervals_hold_the_truth_as_often_as_they_say(rate: float, base_rate: float) -> None:
    chance = random.Random(7)
    held = held_ratio = 0
    for _ in range(1000):
        one, base = drawn(chance, rate, 400), drawn(chance, base_rate, 300)
        found, factors = difference(one, base, 0.9), ratio(one, base, 0.9)
        assert found is not None
        held += found.low <= rate - base_rate <= found.high
        held_ratio += factors is not None and factors.low <= rate / base_rate <= factors.high
    # 1,000 draws of 90 %: three standard errors are 2.8 %
    assert 870 <= held <= 960
    assert 850 <= held_ratio <= 960


def test_means_are_told_apart_as_often_as_they_say() -> None:
    chance = random.Random(11)
    held = 0
    for _ in range(1000):
        one = sampled([chance.gauss(12, 9) for _ in range(30)])
        base = sampled([chance.gauss(10, 2) for _ in range(12)])
        found = mean_difference(one, base, 0.9)
        assert found is not None
        held += found.low <= 2 <= found.high
    assert 870 <= held <= 930


def test_means_of_too_few_people_are_not_compared() -> None:
    few, many = Sample(MIN_FOR_MEANS - 1, 9.0, 9.0), Sample(50, 50.0, 50.0)
    assert mean_difference(few, many, 0.9) is None
    same = mean_difference(many, many, 0.9)
    assert same is not None
    assert (same.low, same.high) == (0, 0)
    assert Sample(0, 0.0, 0.0).mean is None


@given(st.floats(0.01, 0.8), st.floats(0.01, 0.19), st.sampled_from([0.05, 0.01]), st.sampled_from([0.8, 0.9]))
def test_the_people_needed_give_the_power_wanted(base: float, more: float, alpha: float, wanted: float) -> None:
    people = people_needed(base, base + more, alpha, wanted)
    assert people is not None
    assert power(base, base + more, people, people, alpha) >= wanted - 0.001
    if people > 20:
        assert power(base, base + more, people - 2, people - 2, alpha) < wanted
    assert people_needed(base + more, base, alpha, wanted) is None


@given(st.floats(0.0, 0.6), st.integers(50, 5000), st.integers(50, 5000))
def test_what_is_just_detectable_is_found_as_often_as_wanted(base: float, people: int, others: int) -> None:
    rate = detectable(base, people, others, 0.05)
    assert rate is not None
    assert rate > base
    assert power(base, rate, people, others, 0.05) == pytest.approx(0.8, abs=1e-3)


def test_nothing_is_detectable_with_nobody() -> None:
    assert detectable(0.2, 0, 10, 0.05) is None
    assert detectable(0.9, 3, 3, 0.05) is None


def drawn(chance: random.Random, rate: float, people: int) -> Share:
    return Share(sum(chance.random() < rate for _ in range(people)), people)


def sampled(values: list[float]) -> Sample:
    return Sample(len(values), math.fsum(values), math.fsum(value * value for value in values))
