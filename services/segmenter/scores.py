"""Who has which figures of RFM, kept so that new cut points concern only those between an old and a new one."""

from collections.abc import Mapping
from itertools import zip_longest
from math import inf, nextafter

from headrace.contracts.cut_points import CutPoints
from services.segmenter.commit import Range
from services.segmenter.customer import Customer, Scores
from services.segmenter.plan import Plan
from services.segmenter.value_leaves import stored_scores


def note_scores(
    plan: Plan, customers: Mapping[str, Customer | None], now: int
) -> dict[str, dict[str, Scores | None]]:
    """By population, the customers (None: forgotten) whose figures are not those that the indexes have. The
    customers remember the new ones."""
    changes: dict[str, dict[str, Scores | None]] = {}
    for population, leaf in plan.scored.items():
        for profile_id, customer in customers.items():
            if customer is None:
                changes.setdefault(population, {})[profile_id] = None
                continue
            scores = stored_scores(leaf.figures(customer, now))
            if scores == customer.scores.get(population):
                continue
            changes.setdefault(population, {})[profile_id] = scores
            if scores is None:
                del customer.scores[population]
            else:
                customer.scores[population] = scores
    return changes


def cut_ranges(before: CutPoints | None, after: CutPoints) -> list[Range]:
    """Where a figure must lie for its score to be another one: from the lesser to the greater of an old and a new
    cut point, a little more where a float is not exact. Without old ones everywhere."""
    if before is None:
        return [(0, -inf, inf)]
    ranges = []
    for figure, name in enumerate(("recency", "frequency", "monetary")):
        pairs = zip_longest(map(float, getattr(before, name)), map(float, getattr(after, name)))
        for old, new in pairs:
            if old != new:
                known = [cut for cut in (old, new) if cut is not None]
                low, high = min(known), max(known) if len(known) == 2 else inf
                ranges.append((figure, nextafter(low, -inf), nextafter(high, inf)))
    return ranges
