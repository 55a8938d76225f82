"""The plans' recent violations, for people: what is wrong how often. No values, and bounded.

Each process keeps its own since its start; what it counts for good are the metrics.
"""

from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from headrace.contracts.instant import Millis
from services.ingest.plan import Violation

MAX_KEPT = 1_000


class Seen(msgspec.Struct, kw_only=True):
    """One thing that is wrong with one event of a source. `last_message_id` is an example."""

    source: str
    event: str
    property: str
    reason: str
    blocked: bool
    count: int
    first_at: Millis
    last_at: Millis
    last_message_id: str | None


class Violations:
    """Keeps the MAX_KEPT that were seen last."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, Violation], Seen] = OrderedDict()

    def add(self, source: str, violation: Violation, *, blocked: bool, message_id: str | None, at: Millis) -> None:
        key = (source, violation)
        seen = self._seen.get(key)
        if seen is None:
            event, path, reason = violation
            seen = self._seen[key] = Seen(
                source=source,
                event=event,
                property=path,
                reason=reason,
                blocked=blocked,
                count=0,
                first_at=at,
                last_at=at,
                last_message_id=message_id,
            )
            if len(self._seen) > MAX_KEPT:
                self._seen.popitem(last=False)
        seen.count += 1
        seen.last_at, seen.last_message_id = at, message_id
        self._seen.move_to_end(key)

    def newest(self, source: str | None = None, event: str | None = None) -> Iterator[Seen]:
        """What was seen last comes first."""
        for seen in reversed(self._seen.values()):
            if source in {None, seen.source} and event in {None, seen.event}:
                yield seen
