"""Token buckets. Pure: times are milliseconds of whatever clock the caller uses."""

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` requests go through for ever, and `burst` at once by whoever was silent before."""

    per_second: float
    burst: int

    @property
    def swing(self) -> int:
        """How many tokens a process may be ahead of or behind the shared bucket, together; even. Half of it must
        hold what one client sends while the bucket is asked, such as several full batches at once."""
        return max(2, 2 * min(self.burst // 4, 2_500))

    @property
    def full_after_ms(self) -> int:
        """When an empty bucket is full again, and need not be remembered."""
        return math.ceil(self.burst * 1000 / self.per_second)


class Grant(NamedTuple):
    """What a bucket gave, and what it holds after that."""

    tokens: int
    level: float


@dataclass(slots=True)
class Bucket:
    """Begins full. The script `lease.lua` does the same in Redis; a test compares them."""

    rate: Rate
    level: float
    at: int

    def lease(self, wanted: int, now: int) -> Grant:
        """Give as many of `wanted` tokens as there are. A clock that is set back earns nothing."""
        earned = max(0, now - self.at) * self.rate.per_second / 1000
        level = min(self.rate.burst, self.level + earned)
        granted = min(wanted, math.floor(level))
        self.level = level - granted
        self.at = max(self.at, now)
        return Grant(granted, self.level)
