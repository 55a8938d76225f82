"""Applies segment changes: what starts a campaign becomes an entry; leaving a segment may end a journey."""

from collections.abc import Callable, Sequence

import msgspec

from headrace.contracts.headers import carried_receipt, carried_trace
from headrace.contracts.instant import Millis, parse_instant
from headrace.contracts.segment_change import SegmentChange
from headrace.log.port import Log, Record
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from services.messenger.customers import roots_of
from services.messenger.definitions import Definitions
from services.messenger.endings import left
from services.messenger.entering import by_change
from services.messenger.input import Batch
from services.messenger.intake import Intake
from services.messenger.outbox import SOURCE
from services.messenger.store import Connection, Position, Positions

_decoder = msgspec.json.Decoder(SegmentChange)
_MAX_ID = 256
_NEEDED = ("segment_id", "reason", "entry_id")


class Undecodable(ValueError):
    """The record is no segment change."""


class Changes:
    """Handler of `cdp.segment-changes`. One transaction a batch."""

    lazy = False
    numbered = True

    def __init__(
        self,
        topic: str,
        positions: Positions,
        definitions: Definitions,
        intake: Intake,
        dead_letters: "DeadLetters",
        *,
        clock: Callable[[], Millis],
    ) -> None:
        self.topic = topic
        self._positions = positions
        self._definitions = definitions
        self._intake = intake
        self._dead_letters = dead_letters
        self._clock = clock

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        changes = []
        for record in batch.records:
            try:
                cause = carried_trace(record.headers), carried_receipt(record.headers), record.time
                changes.append((decode_change(record.value), *cause))
            except Undecodable as error:
                await self._dead_letters.put(record, "undecodable", str(error), self._clock())
        now = self._clock()
        async with self._positions.advance(self.topic, partition, expected, batch.position) as connection:
            segments = {str(change.properties["segment_id"]) for change, *_ in changes}
            campaigns = await self._definitions.live_campaigns(connection, segments) if segments else []
            starts = [
                (start, campaign)
                for change, trace, received_at, known_at in changes
                for campaign, version in campaigns
                if (
                    start := by_change(
                        change,
                        campaign,
                        version,
                        now=now,
                        traceparent=trace,
                        received_at=received_at,
                        known_at=known_at,
                    )
                )
                is not None
            ]
            ended = await left(connection, await _exits(connection, [change for change, *_ in changes]), now)
            done = await self._intake.enter(connection, starts, now, also=ended)
            failpoint("before_commit")
        failpoint("after_commit")
        self._intake.announce(done)
        return True

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        await self._positions.save(self.topic, partition, expected, position)


class DeadLetters:
    """Sets records aside that cannot be read, so that their partition goes on."""

    def __init__(self, log: Log, topic: str, metrics: Metrics) -> None:
        self._log = log
        self._topic = topic
        self._metrics = metrics

    async def put(self, record: Record, reason: str, detail: str, now: Millis) -> None:
        """Durable when it returns. The id comes from where the record stands: a repeat is recognisable."""
        letter = dead_letter(record, reason, detail, service=SOURCE, at=now)
        await self._log.append(self._topic, record.partition, [letter])
        self._metrics.dead_letters.labels(reason).inc()


def decode_change(value: bytes | None) -> SegmentChange:
    """Raises Undecodable for what is no segment change with the properties that campaigns need."""
    try:
        change = _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error
    try:
        parse_instant(change.timestamp)
    except ValueError as error:
        raise Undecodable(f"timestamp: {error}") from error
    missing = [name for name in _NEEDED if not isinstance(change.properties.get(name), str)]
    if missing:
        raise Undecodable(f"properties lack {', '.join(missing)}")
    ids = [change.profile.id, *(str(change.properties[name]) for name in _NEEDED)]
    if any("\0" in text or len(text) > _MAX_ID for text in ids):
        raise Undecodable(f"an id is longer than {_MAX_ID} or contains U+0000: no store can hold it")
    return change


async def _exits(connection: Connection, changes: Sequence[SegmentChange]) -> list[tuple[str, str]]:
    """(segment id, entry id) of those who left a segment. The exit of a profile that was merged away is none: the
    journey is the other's now, whose own exit ends it."""
    exits = [change for change in changes if change.event == "Audience Exited"]
    merged = [change.profile.id for change in exits if change.properties["reason"] == "merge"]
    roots = await roots_of(connection, merged) if merged else {}
    return [
        (str(change.properties["segment_id"]), str(change.properties["entry_id"]))
        for change in exits
        if roots.get(change.profile.id, change.profile.id) == change.profile.id
    ]
