"""Applies what happens to customers: events start campaigns, reach goals and end journeys; who became one gets
once what waited for both; an erasure forgets them.

An unmerge needs nothing: entries and messages keep the ids that they were decided under, and the profile service's
views say whose those ids are.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.headers import carried_trace
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ErasureRow, EventRow, MergeRow, decode_profile_event
from headrace.log.port import Record
from services.messenger import ledger
from services.messenger.awards import Awards
from services.messenger.changes import DeadLetters
from services.messenger.customers import family_of
from services.messenger.definitions import Definitions
from services.messenger.endings import collapse
from services.messenger.entering import Start, by_event
from services.messenger.goals import done as deeds_done
from services.messenger.input import Batch
from services.messenger.intake import Intake
from services.messenger.outbox import NewOutcome, NewUpdate
from services.messenger.providers.forgetting import Forgetful, forget
from services.messenger.redemption import redeem
from services.messenger.store import Connection, Position, Positions


class _Head(msgspec.Struct):
    kind: str
    event: str | None = None


_heads = msgspec.json.Decoder(_Head)
_WANTED = frozenset({"merge", "erasure"})


@dataclass(slots=True)
class _Rows:
    """The rows of a batch that concern messages; events with their traces, and when the log took them."""

    events: list[tuple[EventRow, str | None, Millis]] = field(default_factory=list)
    moves: list[MergeRow | ErasureRow] = field(default_factory=list)


class ProfileEvents:
    """Handler of `cdp.profile-events`. Most records only move the position. While no campaign listens to an event,
    it looks once a second, not at every tick: nothing waits for it then, since a claim reads merges and erasures
    from the profile service's views."""

    numbered = True

    def __init__(
        self,
        topic: str,
        positions: Positions,
        definitions: Definitions,
        intake: Intake,
        dead_letters: DeadLetters,
        channels: Mapping[str, Forgetful],
        awards: Awards,
        *,
        clock: Callable[[], Millis],
    ) -> None:
        self.topic = topic
        self._positions = positions
        self._definitions = definitions
        self._intake = intake
        self._dead_letters = dead_letters
        self._channels = channels
        self._awards = awards
        self._clock = clock

    @property
    def lazy(self) -> bool:
        return not self._definitions.listened

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        names = await self._definitions.listen(self._clock())
        rows = await self._wanted(batch.records, names)
        if not rows.events and not rows.moves:
            return False
        now = self._clock()
        async with self._positions.advance(self.topic, partition, expected, batch.position) as connection:
            events = [row for row, *_ in rows.events]
            told: list[NewOutcome | NewUpdate] = [
                *await deeds_done(connection, self._definitions, events, now),
                *await redeem(connection, events),
                *await self._awards.give(connection, events, now),
            ]
            for row in rows.moves:
                told += await self._moved(connection, row, now)
            starts = await self._starts(connection, rows.events, now)
            done = await self._intake.enter(connection, starts, now, also=told)
        self._intake.announce(done)
        return True

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        await self._positions.save(self.topic, partition, expected, position)

    async def _starts(
        self, connection: Connection, events: Sequence[tuple[EventRow, str | None, Millis]], now: Millis
    ) -> list[tuple[Start, CampaignDefinition]]:
        names = {row.event for row, *_ in events if row.event is not None and not row.imported}
        campaigns = await self._definitions.live_by_event(connection, names) if names else []
        return [
            (start, campaign)
            for row, trace, known_at in events
            for campaign, version in campaigns
            if (start := by_event(row, campaign, version, now=now, traceparent=trace, known_at=known_at))
            is not None
        ]

    async def _moved(self, connection: Connection, row: MergeRow | ErasureRow, now: Millis) -> list[NewOutcome]:
        family = await family_of(connection, row.profile_id)
        if isinstance(row, MergeRow):
            return await collapse(connection, family, now)
        sent = await ledger.redact(connection, {row.profile_id, *family}, now)
        await forget(self._channels, sent)
        return []

    async def _wanted(self, records: Sequence[Record], names: Collection[str]) -> _Rows:
        """What concerns messages; the others are looked at no further than their kind and name."""
        rows = _Rows()
        for record in records:
            try:
                head = _heads.decode(record.value or b"")
                if head.kind not in _WANTED and (head.kind != "event" or head.event not in names):
                    continue
                row = decode_profile_event(record.value or b"")
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                await self._dead_letters.put(record, "undecodable", str(error), self._clock())
                continue
            if isinstance(row, EventRow):
                rows.events.append((row, carried_trace(record.headers), record.time))
            elif isinstance(row, MergeRow | ErasureRow):
                rows.moves.append(row)
        return rows
