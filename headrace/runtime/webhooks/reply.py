"""What a webhook's receiver answered."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from headrace.contracts.instant import Millis

MAX_RETRY_AFTER_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Reply:
    """How an attempt ended. `status` is the receiver's, None when it gave none; `reason` is a slug, empty for 2xx;
    `excerpt` is the beginning of what it said. `unsent`: certainly no byte of the request reached it."""

    status: int | None
    reason: str = ""
    retry_after: str | None = None
    excerpt: str = ""
    unsent: bool = False

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver asks for no more."""
        return self.status == 410


def retry_after_ms(header: str | None, now: Millis) -> int:
    """The pause that a `Retry-After` asks for (seconds or an HTTP date), at most a day; 0 for none."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, MAX_RETRY_AFTER_MS)
    try:
        until = parsedate_to_datetime(text)
        at = int((until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
    return max(0, min(at - now, MAX_RETRY_AFTER_MS))
