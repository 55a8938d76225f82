"""Whether two groups differ, and by how much. Pure, and exact enough without a library of statistics.

The test of two shares is the score test (pooled two-proportion z test); its intervals hold exactly the differences
and ratios that the same test does not reject, so that what is said and what is shown never contradict. Sources:
Mee 1984 (difference), Miettinen and Nurminen 1985, Statistics in Medicine 4:213-226 (difference and ratio),
Farrington and Manning 1990, Statistics in Medicine 9:1447-1454 (closed form under a difference); of means Welch
1947.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_HALVINGS = 60
_MOST_RATIO = 1e9
MIN_FOR_MEANS = 10
"""Below this many people a mean's interval says nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `people`; 0 <= hits <= people."""

    hits: int
    people: int

    @property
    def rate(self) -> float | None:
        return self.hits / self.people if self.people else None


@dataclass(frozen=True, slots=True)
class Sample:
    """Amounts of `people`: their sum and the sum of their squares."""

    people: int
    total: float
    squares: float

    @property
    def mean(self) -> float | None:
        return self.total / self.people if self.people else None

    @property
    def variance(self) -> float:
        """Unbiased; needs two people."""
        return max(self.squares - self.total * self.total / self.people, 0.0) / (self.people - 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included. `high` may be infinite for a ratio."""

    low: float
    high: float


def quantile(probability: float) -> float:
    """Of the standard normal distribution."""
    return _NORMAL.inv_cdf(probability)


def z_score(one: Share, base: Share) -> float | None:
    """How many standard errors `one` lies above `base`; None where nothing can be said: a group is empty, or all
    or none of both are hits."""
    if not one.people or not base.people:
        return None
    pooled = (one.hits + base.hits) / (one.people + base.people)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.people + 1 / base.people))
    return (one.hits / one.people - base.hits / base.people) / error if error else None


def p_better(one: Share, base: Share) -> float | None:
    """One-sided p value of "`one` is no better than `base`"."""
    z = z_score(one, base)
    return None if z is None else _NORMAL.cdf(-z)


def difference(one: Share, base: Share, level: float) -> Interval | None:
    """Two-sided interval of one's rate less the base's, at `level` (0.9): from -1 to 1."""
    if not one.people or not base.people:
        return None
    seen = one.hits / one.people - base.hits / base.people
    bound = quantile((1 + level) / 2)
    low = _edge(lambda delta: _z_difference(one, base, delta) > bound, -1.0, seen)
    high = _edge(lambda delta: _z_difference(one, base, delta) >= -bound, seen, 1.0)
    return Interval(low, high)


def ratio(one: Share, base: Share, level: float) -> Interval | None:
    """Two-sided interval of one's rate by the base's: 1.2 is a fifth more. None when the base has no hit."""
    if not one.people or not base.hits:
        return None
    seen = (one.hits / one.people) / (base.hits / base.people)
    bound = quantile((1 + level) / 2)
    low = _edge(lambda factor: _z_ratio(one, base, factor) > bound, 0.0, seen)
    top = max(2.0, 2 * seen)
    while top < _MOST_RATIO and _z_ratio(one, base, top) >= -bound:
        top *= 2
    if top >= _MOST_RATIO:
        return Interval(low, math.inf)
    return Interval(low, _edge(lambda factor: _z_ratio(one, base, factor) >= -bound, seen, top))


def mean_difference(one: Sample, base: Sample, level: float) -> Interval | None:
    """Welch's interval of one's mean less the base's; None with too few people."""
    if min(one.people, base.people) < MIN_FOR_MEANS:
        return None
    parts = one.variance / one.people, base.variance / base.people
    seen = one.total / one.people - base.total / base.people
    if not sum(parts):
        return Interval(seen, seen)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (one.people - 1) + parts[1] ** 2 / (base.people - 1))
    margin = t_quantile((1 + level) / 2, freedom) * math.sqrt(sum(parts))
    return Interval(seen - margin, seen + margin)


def t_quantile(probability: float, freedom: float) -> float:
    """Of Student's distribution; right to 5 digits from 9 degrees of freedom on (Abramowitz and Stegun 26.7.5)."""
    z = quantile(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def power(base_rate: float, rate: float, people: int, base_people: int, alpha: float) -> float:
    """Probability that the one-sided test at `alpha` finds `rate` better than `base_rate` with so many people."""
    pooled = (rate * people + base_rate * base_people) / (people + base_people)
    under_none = math.sqrt(pooled * (1 - pooled) * (1 / people + 1 / base_people))
    error = math.sqrt(rate * (1 - rate) / people + base_rate * (1 - base_rate) / base_people)
    if not error:
        return float(rate > base_rate)
    return _NORMAL.cdf((rate - base_rate - quantile(1 - alpha) * under_none) / error)


def people_needed(base_rate: float, rate: float, alpha: float, wanted: float = 0.8) -> int | None:
    """People in each of two groups of one size, so that `power` is `wanted`. None when `rate` is not better."""
    if rate <= base_rate:
        return None
    middle = (rate + base_rate) / 2
    by_chance = quantile(1 - alpha) * math.sqrt(2 * middle * (1 - middle))
    by_power = quantile(wanted) * math.sqrt(rate * (1 - rate) + base_rate * (1 - base_rate))
    return math.ceil(((by_chance + by_power) / (rate - base_rate)) ** 2)


def detectable(base_rate: float, people: int, base_people: int, alpha: float, wanted: float = 0.8) -> float | None:
    """The smallest better rate that is found with probability `wanted` with so many people; None when there is
    none up to 1."""
    if not people or not base_people or power(base_rate, 1.0, people, base_people, alpha) < wanted:
        return None
    return _edge(lambda rate: power(base_rate, rate, people, base_people, alpha) < wanted, base_rate, 1.0)


def _edge(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds`, which is true from `low` on, stops being so before `high`."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _z_difference(one: Share, base: Share, delta: float) -> float:
    """Score of "the rates differ by `delta`"."""
    p_base = _base_rate(one, base, delta)
    p_one = min(max(p_base + delta, 0.0), 1.0)
    variance = p_one * (1 - p_one) / one.people + p_base * (1 - p_base) / base.people
    return _score(one.hits / one.people - base.hits / base.people - delta, variance)


def _base_rate(one: Share, base: Share, delta: float) -> float:
    """The base's most likely rate when one's lies `delta` above it: a root of a cubic."""
    theta = base.people / one.people
    p_one, p_base = one.hits / one.people, base.hits / base.people
    a = 1 + theta
    b = -(1 + theta + p_one + theta * p_base + delta * (theta + 2))
    c = delta * delta + delta * (2 * p_one + theta + 1) + p_one + theta * p_base
    d = -p_one * delta * (1 + delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    cosine = min(max(v / u**3, -1.0), 1.0) if u else 0.0
    rate = 2 * u * math.cos((math.pi + math.acos(cosine)) / 3) - b / (3 * a)  # this is one's rate
    return min(max(rate - delta, 0.0), 1.0)


def _z_ratio(one: Share, base: Share, factor: float) -> float:
    """Score of "one's rate is `factor` times the base's"."""
    a = (one.people + base.people) * factor
    b = -(one.people * factor + one.hits + base.people + base.hits * factor)
    root = math.sqrt(max(b * b - 4 * a * (one.hits + base.hits), 0.0))
    p_base = (-b - root) / (2 * a) if a else (one.hits + base.hits) / (one.people + base.people)
    p_one = min(factor * p_base, 1.0)
    variance = p_one * (1 - p_one) / one.people + factor * factor * p_base * (1 - p_base) / base.people
    return _score(one.hits / one.people - factor * base.hits / base.people, variance)


def _score(distance: float, variance: float) -> float:
    if variance > 0:
        return distance / math.sqrt(variance)
    return math.copysign(math.inf, distance) if distance else 0.0
