"""What a computed trait would be, by the second evaluator over the stored rows."""

import heapq
from collections import Counter
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import msgspec

from headrace.contracts.trait import TraitDefinition
from services.segmenter.recount import Recount
from services.segmenter.standing import Standings

SAMPLE = 10
_json = msgspec.json.Encoder(decimal_format="number")


class TraitPreview:
    def __init__(self, standings: Standings, recount: Recount) -> None:
        self._standings = standings
        self._recount = recount

    async def of(self, definition: TraitDefinition) -> dict[str, Any]:
        """`count` of customers who have a value, a `sample` of them, `numbers` (least, quartiles, greatest) of
        those whose value is one, and `most_common` of all."""
        sample: list[dict[str, Any]] = []
        numbers: list[Decimal | int] = []
        times: Counter[bytes] = Counter()
        for q in range(self._standings.partitions):
            standing = await self._standings.everybody(q, ())
            if standing is None:
                continue
            async with aclosing(self._recount.values(standing, definition)) as found:
                async for profile_id, value in found:
                    sample += [{"profile_id": profile_id, "value": value}] if len(sample) < SAMPLE else []
                    numbers += [value] if _is_number(value) else []
                    times[_json.encode(value)] += 1
        return {
            "count": times.total(),
            "sample": sample,
            "numbers": _spread(numbers),
            "most_common": [{"value": msgspec.Raw(text), "count": count} for text, count in _most(times)],
        }


def _most(times: Counter[bytes]) -> list[tuple[bytes, int]]:
    """The most frequent; of those that are as frequent in the order of their texts."""
    return heapq.nsmallest(SAMPLE, times.items(), key=lambda one: (-one[1], one[0]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _spread(numbers: list[Decimal | int]) -> dict[str, Any] | None:
    if not numbers:
        return None
    numbers.sort()
    last = len(numbers) - 1
    quartiles = [numbers[round(last * part / 4)] for part in range(5)]
    return dict(zip(("least", "lower_quartile", "median", "upper_quartile", "greatest"), quartiles, strict=True))
