"""Verdicts as the reports show them, and as they are kept. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from headrace.contracts.campaign_steps import Split
from services.messenger.stats import Interval, Share
from services.messenger.verdict import INTERVAL_LEVEL, MeanUplift, Uplift, Verdict, choose

_PLACES = 6


_CONFIDENCE = 0.95  # of a split that looks for no winner


def judged(split: Split, shares: Mapping[str, Share]) -> Verdict:
    """What these figures say of the split."""
    winner = split.winner
    if winner is None:
        return choose(shares, against=next(iter(split.variants)), confidence=_CONFIDENCE, fallback=None)
    against = winner.against or next(iter(split.variants))
    return choose(shares, against=against, confidence=winner.confidence, fallback=winner.fallback)


def statistics(metric: str, shares: Mapping[str, Share], verdict: Verdict) -> dict[str, Any]:
    """Of a split: `{metric, against, variants: {name: {people, hits, rate}}, level, comparisons}`."""
    return {
        "metric": metric,
        "against": verdict.against,
        "variants": {name: share_shown(share) for name, share in shares.items()},
        "level": rounded(verdict.level),
        "comparisons": [
            {
                "variant": one.variant,
                "difference": rounded(one.difference),
                "interval": _bounds(one.interval),
                "p_value": rounded(one.p_value),
                "is_better": one.is_better,
            }
            for one in verdict.comparisons
        ],
    }


def uplift_shown(treated: Share, holdout: Share, found: Uplift) -> dict[str, Any]:
    return {
        "treated": share_shown(treated),
        "holdout": share_shown(holdout),
        "effect": found.effect,
        "difference": rounded(found.difference),
        "interval": _bounds(found.interval),
        "interval_level": INTERVAL_LEVEL,
        "relative": rounded(found.relative),
        "relative_interval": _less_one(found.relative_interval),
        "p_value": rounded(found.p_value),
        "extra_conversions": rounded(found.extra),
        "detectable_rate": rounded(found.detectable),
    }


def amount_shown(found: MeanUplift) -> dict[str, Any]:
    """Amounts per person."""
    return {
        "treated": rounded(found.treated),
        "holdout": rounded(found.holdout),
        "difference": rounded(found.difference),
        "interval": _bounds(found.interval),
    }


def share_shown(share: Share) -> dict[str, Any]:
    return {"people": share.people, "hits": share.hits, "rate": rounded(share.rate)}


def rounded(value: float | None) -> float | None:
    """What JSON can hold; None for infinity."""
    return None if value is None or not math.isfinite(value) else round(value, _PLACES)


def _bounds(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [rounded(interval.low), rounded(interval.high)]


def _less_one(interval: Interval | None) -> list[float | None] | None:
    """A ratio of 1.2 is a relative uplift of 0.2."""
    return None if interval is None else [rounded(interval.low - 1), rounded(interval.high - 1)]
