"""From what a figure comes to (`figures.py`) to the value of a computed trait: plain JSON, None for no value."""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import ceil
from typing import Any

from headrace.contracts.instant import format_instant
from services.segmenter.aggregates import value_key
from services.segmenter.paths import EXACT, number

Reading = Callable[[Any, int], Any]
"""The value, of what the figure comes to and the instant."""

DAY_MS = 86_400_000
_MEAN = Context(prec=15, rounding=ROUND_HALF_EVEN)


def plain(exact: Decimal | int) -> Decimal | int:
    """The number as it is written: whole ones without a point, others without needless zeros."""
    value = EXACT.normalize(Decimal(exact))
    return int(value) if value == value.to_integral_value() else value


def mean(total: Decimal | int, count: int) -> Decimal | int:
    """At most 15 significant digits, half to even."""
    return plain(_MEAN.divide(Decimal(total), Decimal(count)))


def number_of(raw: Any, instant: int) -> Any:
    return plain(raw)


def mean_of(raw: Any, instant: int) -> Any:
    return mean(*raw)


def edge_of(raw: Any, instant: int) -> Any:
    return written(raw[0])


def instant_of(raw: Any, instant: int) -> Any:
    return format_instant(raw)


def days_of(raw: Any, instant: int) -> int:
    """Whole days since the latest event, which may be later than now."""
    return max(0, int(instant - raw) // DAY_MS)


def most_frequent_of(raw: Sequence[Any], instant: int) -> Any:
    """At a tie the one that was seen last."""
    times: Counter[str | None] = Counter(map(value_key, raw))
    most = max(times.values())
    return next(written(value) for value in reversed(raw) if times[value_key(value)] == most)


def unique_of(limit: int) -> Reading:
    def read(raw: Sequence[Any], instant: int) -> Any:
        different: dict[str | None, Any] = {}
        for value in raw:
            different.setdefault(value_key(value), value)
        return [written(value) for value in list(different.values())[:limit]]

    return read


def quartiles_of(raw: Sequence[Any], instant: int) -> Any:
    """Lower and upper quartile, nearest rank."""
    ordered = sorted(Decimal(value) for value in raw)
    ranks = (ceil(len(ordered) / 4), ceil(3 * len(ordered) / 4))
    return [plain(ordered[rank - 1]) for rank in ranks]


def sessions_of(of: str) -> Reading:
    def read(runs: Sequence[Sequence[int]], instant: int) -> Any:
        if of == "count":
            return len(runs)
        if of == "pages":
            return mean(sum(pages for _, _, pages in runs), len(runs))
        length = EXACT.divide(Decimal(sum(end - begin for begin, end, _ in runs)), Decimal(1_000))
        return mean(length, len(runs))

    return read


def written(value: Any) -> Any:
    """A scalar as the trait has it: equal numbers are written alike."""
    exact = number(value)
    return value if exact is None else plain(exact)
