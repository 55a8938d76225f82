"""A circuit breaker: after failures in a row nothing is sent for a pause, then one message tries. Pure."""

from headrace.contracts.instant import Millis

FAILURES = 5
FIRST_PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 60_000
PROBE_MS = 60_000
"""After so long without a word about a probe, another may go."""


class Breaker:
    """Closed at first. It opens after `failures` in a row; each probe that fails doubles the pause.

    `now` is the clock's, milliseconds since the epoch. A clock that is set back does not make a pause longer than
    it can be.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        first_pause_ms: Millis = FIRST_PAUSE_MS,
        longest_pause_ms: Millis = LONGEST_PAUSE_MS,
    ) -> None:
        self._limit = failures
        self._first_pause = first_pause_ms
        self._longest_pause = longest_pause_ms
        self._longest_wait = max(first_pause_ms, longest_pause_ms, PROBE_MS)
        self._failures = 0
        self._pause = first_pause_ms
        self._shut_until: Millis | None = None
        self._probing = False

    @property
    def closed(self) -> bool:
        return self._shut_until is None

    def room(self, now: Millis) -> int | None:
        """How many messages may go now: None for any number, 1 for a probe, 0 while the pause lasts."""
        if self._shut_until is None:
            return None
        return 1 if self._is_over(now, self._shut_until) else 0

    def next_at(self, now: Millis) -> Millis:
        """When a message may go, as far as one knows: `now` or later."""
        until = self._shut_until
        return now if until is None or self._is_over(now, until) else until

    def began(self, now: Millis) -> None:
        """A message is on its way. While the breaker is not closed it is the probe."""
        if self._shut_until is not None and self._is_over(now, self._shut_until):
            self._probing = True
            self._shut_until = now + PROBE_MS

    def succeeded(self) -> None:
        """The provider answered: closed, whatever was before."""
        self._failures = 0
        self._pause = self._first_pause
        self._shut_until = None
        self._probing = False

    def failed(self, now: Millis) -> None:
        """What was under way as the breaker opened says nothing new; a probe that fails prolongs the pause."""
        self._failures += 1
        if self._shut_until is None and self._failures >= self._limit:
            self._shut_until = now + self._pause
        elif self._probing:
            self._probing = False
            self._pause = min(2 * self._pause, self._longest_pause)
            self._shut_until = now + self._pause

    def _is_over(self, now: Millis, until: Millis) -> bool:
        return not until - self._longest_wait <= now < until
