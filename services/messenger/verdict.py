"""What a campaign's figures say: did it work, and which variant won. Pure.

Each question is asked once. Whoever looks every hour and stops at the first "better" finds an effect that is not
there far more often than the test allows; so a split is decided by one look, `after` its first customer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.messenger.stats import (
    Interval,
    Sample,
    Share,
    detectable,
    difference,
    mean_difference,
    p_better,
    ratio,
)

Effect = Literal["positive", "negative", "none"]

# One-sided at 5 %: a relative 20 % on a base of 20 % is found with 2,000 people a side in 92 %. The usual
# two-sided test at 5 % would find it in 86 %. That a campaign does harm is said at 0.5 % only, so that all in all
# an effect is reported in less than 6 % where there is none.
BETTER_AT = 0.05
WORSE_AT = 0.005
# two-sided; its lower end is above 0 exactly when the effect is positive
INTERVAL_LEVEL = 0.90


@dataclass(frozen=True, slots=True)
class Uplift:
    """Treated against held-out people. `extra` are the conversions that would not have been without the campaign;
    `detectable` is the smallest rate of the treated that would be found in 8 of 10 cases."""

    effect: Effect
    difference: float | None
    interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p_value: float | None
    extra: float | None
    detectable: float | None


@dataclass(frozen=True, slots=True)
class MeanUplift:
    """Amount per person, treated against held out. None where there are too few people to say."""

    treated: float | None
    holdout: float | None
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant against the one that the others are compared with. `interval` (two-sided) lies above 0 exactly
    when it `is_better`."""

    variant: str
    difference: float | None
    interval: Interval | None
    p_value: float | None
    is_better: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`variant`: what all who come later take; None: the weights stay. `against`: what the others
    were compared with; `level`: of the comparisons' intervals."""

    outcome: Literal["better", "fallback", "none"]
    variant: str | None
    against: str
    level: float
    comparisons: tuple[Comparison, ...]


def uplift(treated: Share, holdout: Share) -> Uplift:
    """What the campaign changed."""
    p_value = p_better(treated, holdout)
    seen = _difference(treated, holdout)
    return Uplift(
        effect=_effect(p_value),
        difference=seen,
        interval=difference(treated, holdout, INTERVAL_LEVEL),
        relative=seen / (holdout.hits / holdout.people) if seen is not None and holdout.hits else None,
        relative_interval=ratio(treated, holdout, INTERVAL_LEVEL),
        p_value=p_value,
        extra=None if seen is None else seen * treated.people,
        detectable=_detectable(treated, holdout),
    )


def mean_uplift(treated: Sample, holdout: Sample) -> MeanUplift:
    one, base = treated.mean, holdout.mean
    seen = one - base if one is not None and base is not None else None
    return MeanUplift(one, base, seen, mean_difference(treated, holdout, INTERVAL_LEVEL))


def choose(shares: Mapping[str, Share], *, against: str, confidence: float, fallback: str | None) -> Verdict:
    """The winner among `shares`: the best of those that are better than `against` at `confidence`, which all the
    comparisons share (Bonferroni)."""
    challengers = [name for name in shares if name != against]
    alpha = (1 - confidence) / len(challengers)
    level = 1 - 2 * alpha
    comparisons = tuple(_compare(name, shares[name], shares[against], alpha, level) for name in challengers)
    better = [one.variant for one in comparisons if one.is_better]
    if better:
        # of equal ones the first by name
        best = max(sorted(better), key=lambda name: shares[name].rate or 0.0)
        return Verdict("better", best, against, level, comparisons)
    return Verdict("none" if fallback is None else "fallback", fallback, against, level, comparisons)


def _compare(name: str, one: Share, base: Share, alpha: float, level: float) -> Comparison:
    p_value = p_better(one, base)
    is_better = p_value is not None and p_value < alpha
    interval = difference(one, base, level) if 0 < level < 1 else None
    return Comparison(name, _difference(one, base), interval, p_value, is_better)


def _effect(p_value: float | None) -> Effect:
    if p_value is None:
        return "none"
    if p_value < BETTER_AT:
        return "positive"
    return "negative" if 1 - p_value < WORSE_AT else "none"


def _difference(one: Share, base: Share) -> float | None:
    if one.rate is None or base.rate is None:
        return None
    return one.rate - base.rate


def _detectable(treated: Share, holdout: Share) -> float | None:
    found = detectable(holdout.rate or 0.0, treated.people, holdout.people, BETTER_AT)
    return found if found is not None and math.isfinite(found) else None
