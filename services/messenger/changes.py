"""Applies segment changes: what starts a campaign becomes an entry and a pending message."""

from collections.abc import Callable, Sequence

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.headers import carried_trace
from headrace.contracts.instant import Millis, parse_instant
from headrace.contracts.segment_change import SegmentChange
from headrace.log.port import Log, Record
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from services.messenger import ledger
from services.messenger.decide import decide
from services.messenger.definitions import Definitions
from services.messenger.input import Batch
from services.messenger.ledger import NewEntry
from services.messenger.outbox import SOURCE, OutcomeOutbox
from services.messenger.store import Position, Positions

_decoder = msgspec.json.Decoder(SegmentChange)
_MAX_ID = 256
_NEEDED = ("segment_id", "reason", "entry_id")


class Undecodable(ValueError):
    """The record is no segment change."""


class Changes:
    """Handler of `cdp.segment-changes`. One transaction a batch."""

    lazy = False

    def __init__(
        self,
        topic: str,
        positions: Positions,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        dead_letters: "DeadLetters",
        metrics: Metrics,
        *,
        clock: Callable[[], Millis],
        on_pending: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self.topic = topic
        self._positions = positions
        self._definitions = definitions
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._on_pending = on_pending
        self._on_outcome = on_outcome

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        entered = []
        for record in batch.records:
            try:
                change = decode_change(record.value)
            except Undecodable as error:
                await self._dead_letters.put(record, "undecodable", str(error), self._clock())
                continue
            if change.event == "Audience Entered":
                entered.append((change, carried_trace(record.headers)))
        now = self._clock()
        async with self._positions.advance(self.topic, partition, expected, batch.position) as connection:
            segments = {str(change.properties["segment_id"]) for change, _ in entered}
            campaigns = await self._definitions.live_campaigns(connection, segments) if segments else []
            new = await ledger.record(connection, _decisions(entered, campaigns, now), now)
            skipped = [entry for entry in new if entry.decision.skip is not None]
            await self._outbox.append(connection, [ledger.skipped_at_entry(e, now) for e in skipped], now)
            failpoint("before_commit")
        failpoint("after_commit")
        self._announce(new, bool(skipped))
        return True

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        await self._positions.save(self.topic, partition, expected, position)

    def _announce(self, new: Sequence[NewEntry], any_skipped: bool) -> None:
        for entry in new:
            status = "skipped" if entry.decision.skip else "pending"
            self._metrics.messages.labels(entry.decision.campaign_id, entry.decision.channel, status).inc()
        if new:
            self._on_pending()
        if any_skipped:
            self._on_outcome()


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
    except (msgspec.DecodeError, UnicodeError) as error:
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


def _decisions(
    entered: Sequence[tuple[SegmentChange, str | None]],
    campaigns: Sequence[tuple[CampaignDefinition, int]],
    now: Millis,
) -> list[NewEntry]:
    found = []
    for change, trace in entered:
        for campaign, version in campaigns:
            decision = decide(change, campaign, version, now=now)
            if decision is not None:
                found.append(NewEntry(decision, trace))
    return found
