"""A token bucket: so many messages a second, and no more than a tenth of a second's at once. Pure."""

import math

from headrace.contracts.instant import Millis

BURST_SECONDS = 0.1


class Bucket:
    """Full at first. `rate` is in messages per second.

    What is taken beyond what is there (by channels that share a provider) is made up for: nothing more may go
    until it is earned. `now` is the clock's, milliseconds since the epoch; while it is set back nothing is
    earned.
    """

    def __init__(self, rate: float, now: Millis) -> None:
        self._rate = rate
        self._size = max(1.0, rate * BURST_SECONDS)
        self._level = self._size
        self._at = now
        self._shut_until = now

    def room(self, now: Millis) -> int:
        """How many may go now."""
        self._earn(now)
        return 0 if now < self._shut_until else max(0, math.floor(self._level + _DUST))

    def take(self, count: int, now: Millis) -> None:
        self._earn(now)
        self._level -= count

    def shut(self, until: Millis) -> None:
        """The provider asks for a pause."""
        self._shut_until = max(self._shut_until, until)

    def next_at(self, now: Millis) -> Millis:
        """When half a bucket, at least one message, will be there: `now` or later."""
        self._earn(now)
        missing = max(1.0, self._size / 2) - self._level
        earned = now if missing <= _DUST else now + math.ceil(missing / self._rate * 1000)
        return max(earned, self._shut_until)

    def _earn(self, now: Millis) -> None:
        if now > self._at:
            self._level = min(self._size, self._level + (now - self._at) / 1000 * self._rate)
        else:
            self._shut_until -= self._at - now
        self._at = now


_DUST = 1e-9
"""A sum of fractions may miss the whole number by so much."""
