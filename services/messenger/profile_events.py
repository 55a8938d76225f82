"""Applies what happens to customers: who became one gets once what waited for both, an erasure forgets them.

An unmerge needs nothing: messages keep the ids that they were decided under, and the profile service's views say
whose those ids are.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ErasureRow, MergeRow, decode_profile_event
from headrace.log.port import Record
from services.messenger import ledger
from services.messenger.changes import DeadLetters
from services.messenger.customers import family_of
from services.messenger.input import Batch
from services.messenger.outbox import NewOutcome, OutcomeOutbox
from services.messenger.providers.forgetting import forget
from services.messenger.providers.port import Provider
from services.messenger.store import Position, Positions


class _Kind(msgspec.Struct):
    kind: str


_kinds = msgspec.json.Decoder(_Kind)
_WANTED = frozenset({"merge", "erasure"})


class ProfileEvents:
    """Handler of `cdp.profile-events`. Most records only move the position: it looks once a second, not at
    every tick. Nothing waits for it: a claim reads merges and erasures from the profile service's views."""

    lazy = True

    def __init__(
        self,
        topic: str,
        positions: Positions,
        outbox: OutcomeOutbox,
        dead_letters: DeadLetters,
        providers: Mapping[str, Provider],
        *,
        clock: Callable[[], Millis],
        on_outcome: Callable[[], None],
    ) -> None:
        self.topic = topic
        self._positions = positions
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._providers = providers
        self._clock = clock
        self._on_outcome = on_outcome

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        rows = await self._wanted(batch.records)
        if not rows:
            return False
        now, outcomes = self._clock(), list[NewOutcome]()
        async with self._positions.advance(self.topic, partition, expected, batch.position) as connection:
            for row in rows:
                family = await family_of(connection, row.profile_id)
                if isinstance(row, MergeRow):
                    outcomes += await ledger.collapse(connection, family, now)
                else:
                    sent = await ledger.redact(connection, {row.profile_id, *family}, now)
                    await forget(self._providers, sent)
            await self._outbox.append(connection, outcomes, now)
        if outcomes:
            self._on_outcome()
        return True

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        await self._positions.save(self.topic, partition, expected, position)

    async def _wanted(self, records: Sequence[Record]) -> list[MergeRow | ErasureRow]:
        """The few rows that concern messages; the others are looked at no further than their kind."""
        rows: list[MergeRow | ErasureRow] = []
        for record in records:
            try:
                if _kinds.decode(record.value or b"").kind not in _WANTED:
                    continue
                row = decode_profile_event(record.value or b"")
            except (msgspec.DecodeError, UnicodeError) as error:
                await self._dead_letters.put(record, "undecodable", str(error), self._clock())
                continue
            if isinstance(row, MergeRow | ErasureRow):
                rows.append(row)
        return rows
