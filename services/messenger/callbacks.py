"""Applies what providers call with: receipts move messages on, customers' messages are taken in."""

from collections.abc import Callable

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.provider_callback import ProviderCallback
from headrace.log.port import Record
from headrace.runtime.metrics import Metrics
from services.messenger import kept_receipts
from services.messenger.changes import DeadLetters
from services.messenger.definitions import Definitions
from services.messenger.inbound import Inbox
from services.messenger.input import Batch
from services.messenger.outbox import NewOutcome, NewUpdate, OutcomeOutbox
from services.messenger.receipts.choose import READERS
from services.messenger.receipts.port import Inbound, Receipt, Told, Unreadable, storable
from services.messenger.receiving import Receiving
from services.messenger.store import Position, Positions

_decoder = msgspec.json.Decoder(ProviderCallback)


class Callbacks:
    """Handler of `cdp.provider-callbacks`. One transaction a batch."""

    lazy = False
    numbered = False

    def __init__(
        self,
        topic: str,
        positions: Positions,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        inbox: Inbox,
        dead_letters: DeadLetters,
        metrics: Metrics,
        *,
        clock: Callable[[], Millis],
        on_due: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self.topic = topic
        self._positions = positions
        self._definitions = definitions
        self._receiving = Receiving(definitions)
        self._outbox = outbox
        self._inbox = inbox
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._on_due = on_due
        self._on_outcome = on_outcome

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        read = [(provider, told) for record in batch.records for provider, told in await self._read(record)]
        receipts = [told for _, told in read if isinstance(told, Receipt)]
        now = self._clock()
        told: list[NewOutcome | NewUpdate] = []
        async with self._positions.advance(self.topic, partition, expected, batch.position) as connection:
            here = await kept_receipts.keep(connection, receipts)
            outcomes, unmatched, followed = await self._receiving.take(connection, here, now)
            told += outcomes
            policy = await self._definitions.policy(connection)
            for provider, one in read:
                if isinstance(one, Inbound):
                    told += await self._inbox.take(connection, provider, [one], policy, now)
            await self._outbox.append(connection, told, now)
        self._count(read, unmatched)
        if followed or any(isinstance(one, Inbound) for _, one in read):
            self._on_due()
        if told:
            self._on_outcome()
        return True

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        await self._positions.save(self.topic, partition, expected, position)

    async def _read(self, record: Record) -> list[tuple[str, Told]]:
        try:
            callback = _decoder.decode(record.value or b"")
            reader = READERS.get(callback.provider)
            if reader is None:
                raise Unreadable(f"nobody reads callbacks of {callback.provider!r}")
            return [(callback.provider, storable(told)) for told in reader(callback)]
        except (msgspec.DecodeError, UnicodeError, RecursionError, Unreadable) as error:
            await self._dead_letters.put(record, "undecodable", str(error), self._clock())
            return []

    def _count(self, read: list[tuple[str, Told]], unmatched: int) -> None:
        for provider, told in read:
            what = told.outcome if isinstance(told, Receipt) else "inbound"
            self._metrics.callbacks.labels(provider, what).inc()
        if unmatched:
            self._metrics.callbacks.labels("any", "unmatched").inc(unmatched)
