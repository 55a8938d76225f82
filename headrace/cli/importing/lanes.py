"""Batches by lane. A customer always has the same lane and a lane has one request in flight, so a customer's
messages arrive in the file's order while several requests run side by side."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

from headrace.importing.outcome import Outgoing

MAX_BATCH_BYTES = 400_000
MAX_BATCH_MESSAGES = 400
_ENVELOPE = len(b'{"batch":[]}')


@dataclass(slots=True)
class Batch:
    """Messages of one lane that go in one request. `first` is the place in the file of the first of them."""

    lane: int
    first: int
    messages: list[Outgoing] = field(default_factory=list)
    size: int = _ENVELOPE

    def body(self) -> bytes:
        return b'{"batch":[' + b",".join(message.body for message in self.messages) + b"]}"

    def takes(self, message: Outgoing) -> bool:
        return len(self.messages) < MAX_BATCH_MESSAGES and self.size + len(message.body) + 1 <= MAX_BATCH_BYTES

    def add(self, message: Outgoing) -> None:
        self.messages.append(message)
        self.size += len(message.body) + 1


class Lanes:
    """Fills batches and knows how far the file is dealt with without a hole."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._open: dict[int, Batch] = {}
        self._unacknowledged: dict[int, deque[int]] = {lane: deque() for lane in range(count)}
        self._next = 0

    def add(self, place: int, message: Outgoing) -> Batch | None:
        """Take in the message at `place`; the batch that it closed, if any."""
        lane = crc32(message.lane.encode("utf-8", "surrogatepass")) % self._count
        batch = self._open.get(lane)
        closed = None
        if batch is not None and not batch.takes(message):
            closed, batch = batch, None
        if batch is None:
            batch = self._open[lane] = Batch(lane, place)
            self._unacknowledged[lane].append(place)
        batch.add(message)
        self._next = place + 1
        return closed

    def skip(self, place: int) -> None:
        """What stands at `place` needs no sending."""
        self._next = place + 1

    def rest(self) -> Iterator[Batch]:
        """The batches that are still open, at the end of the file."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))

    def acknowledge(self, batch: Batch) -> None:
        """The batch is in the log. Batches of a lane are acknowledged in order."""
        self._unacknowledged[batch.lane].popleft()

    def position(self) -> int:
        """Everything before this place is acknowledged or needs no sending."""
        return min((waiting[0] for waiting in self._unacknowledged.values() if waiting), default=self._next)
