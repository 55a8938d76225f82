"""Entries and what comes of them at once, whatever brought them: written together, then announced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.instant import Millis
from headrace.runtime.metrics import Metrics
from services.messenger import messages
from services.messenger.definitions import Definitions
from services.messenger.entering import Start
from services.messenger.entries import Entered, Recorded, record
from services.messenger.goals import look_back
from services.messenger.ledger import outcome_of
from services.messenger.messages import NewMessage
from services.messenger.outbox import NewOutcome, NewUpdate, OutcomeOutbox
from services.messenger.store import Connection


@dataclass(frozen=True, slots=True)
class Intaken:
    """What was written: for the metrics, and for who is to be woken."""

    recorded: Recorded
    told: bool


class Intake:
    """`on_pending` wakes who sends, `on_due` who takes journeys on, `on_outcome` who publishes."""

    def __init__(
        self,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        metrics: Metrics,
        *,
        on_pending: Callable[[], None],
        on_due: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self._definitions = definitions
        self._outbox = outbox
        self._metrics = metrics
        self._on_pending = on_pending
        self._on_due = on_due
        self._on_outcome = on_outcome

    async def enter(
        self,
        connection: Connection,
        starts: Sequence[tuple[Start, CampaignDefinition]],
        now: Millis,
        *,
        also: Sequence[NewOutcome | NewUpdate] = (),
    ) -> Intaken:
        """Store the entries with their first messages, in the caller's transaction. `also` is told with them: the
        outbox is written last."""
        recorded = await record(connection, starts, now)
        doubted = await messages.insert(connection, recorded.messages, now)
        measured = [
            (one.start.campaign_id, one.start.entry_id)
            for one in recorded.entries
            if one.campaign.events and one.start.refused is None
        ]
        cancelled = await look_back(connection, self._definitions, measured, now)
        by_entry = {(one.start.campaign_id, one.start.entry_id): one for one in recorded.entries}
        skipped = [
            _skipped(message, by_entry[message.campaign_id, message.entry_id], now)
            for message in recorded.messages
            if message.skip is not None and message.id not in doubted
        ]
        updates = [
            NewUpdate(update, by_entry[str(update.campaign_id), str(update.entry_id)].start.traceparent)
            for update in recorded.updates
        ]
        told = [*also, *cancelled, *skipped, *updates]
        await self._outbox.append(connection, told, now)
        return Intaken(recorded, bool(told))

    def announce(self, done: Intaken) -> None:
        """After the commit."""
        for message in done.recorded.messages:
            status = "skipped" if message.skip else "pending"
            self._metrics.messages.labels(message.campaign_id, message.channel, status).inc()
        if done.recorded.messages:
            self._on_pending()
        if done.recorded.waiting:
            self._on_due()
        if done.told:
            self._on_outcome()


def _skipped(message: NewMessage, entered: Entered, at: Millis) -> NewOutcome:
    row: dict[str, Any] = {
        "id": message.id,
        "channel": message.channel,
        "profile_id": message.profile_id,
        "campaign_id": message.campaign_id,
        "campaign_version": message.campaign_version,
        "entry_id": message.entry_id,
        "step": message.step,
        "segment_id": entered.start.segment_id,
        "traceparent": entered.start.traceparent,
        "provider": None,
        "provider_message_id": None,
    }
    return outcome_of(row, "skipped", at, reason=message.skip)
