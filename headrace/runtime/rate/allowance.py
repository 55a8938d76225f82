"""What one process may let through of one key before it asks the shared bucket again. Pure.

A process pays with tokens that it has leased, half a swing ahead. When it has none it goes half a swing into debt,
which it pays out of its next lease. So no request waits for the bucket, and whatever the processes do, together
they never let more through than `burst + rate * time + processes * swing` (a request that costs more than one
token may go beyond by what it costs).
"""

import math

from headrace.runtime.rate.bucket import Grant, Rate

_ASK_AGAIN_MS = 50
"""Whoever was refused everything waits at least so long."""


class Allowance:
    """One key in one process. Times are milliseconds of the process's clock."""

    __slots__ = ("_empty_until", "_half", "leasing", "rate", "tokens")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._half = rate.swing // 2
        self._empty_until = 0
        self.tokens = 0
        """Leased and not spent; below 0: spent and not leased."""
        self.leasing = False
        """True from asking the bucket to its answer."""

    def take(self, cost: int, now: int) -> bool:
        """Let a request through that costs so many tokens, or do not."""
        if self.tokens <= 0 and (self.tokens <= -self._half or now < self._empty_until):
            return False
        self.tokens -= cost
        return True

    def wanted(self, now: int) -> int:
        """How many tokens to lease now; 0 while there are enough, or the bucket was just seen to be empty."""
        if self.leasing or now < self._empty_until or self.tokens > self._half // 2:
            return 0
        return self._half - self.tokens

    def granted(self, wanted: int, grant: Grant, now: int) -> None:
        """The bucket's answer to a lease of `wanted` tokens."""
        self.tokens += grant.tokens
        self.leasing = False
        if grant.tokens < wanted:
            missing = max(1, 1 - self.tokens) - grant.level
            self._empty_until = now + max(_ASK_AGAIN_MS, math.ceil(missing * 1000 / self.rate.per_second))

    def retry_after(self, now: int) -> int:
        """Whole seconds, at least 1, until a request may go through."""
        owed = max(0, 1 - self._half - self.tokens)
        waits = max(self._empty_until - now, math.ceil(owed * 1000 / self.rate.per_second))
        return max(1, math.ceil(waits / 1000))

    @property
    def idle(self) -> bool:
        """Forgetting it gives nobody anything."""
        return self.tokens >= 0 and not self.leasing
