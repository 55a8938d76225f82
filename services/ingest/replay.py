"""Puts dead letters through again: HTTP's through validation and its source's plan, a topic's into that topic.

Nothing leaves the dead letters, and a replay may be repeated: an event keeps its messageId, or gets one from
the letter's content, and a record its headers, so that receivers drop what they have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.topics import partition_of
from headrace.log.port import Log, NewRecord
from headrace.runtime.metrics import Metrics
from services.ingest.auth import Source
from services.ingest.dead_letters import StoredLetter
from services.ingest.envelope import Envelope
from services.ingest.limits import Limits
from services.ingest.plan import Plans
from services.ingest.records import HTTP, event_record
from services.ingest.rejection import Rejected
from services.ingest.validation import Arrival, validate

ReplayOutcome = Literal["accepted", "appended", "refused", "missing"]


class Replayed(msgspec.Struct, kw_only=True, frozen=True):
    """What became of a letter: accepted (an event, durable again), appended (to its origin topic), refused
    again with a reason, or missing (the log does not hold it)."""

    id: str | None
    partition: int
    offset: int
    outcome: ReplayOutcome
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Destination:
    outcome: ReplayOutcome
    topic: str
    partition: int
    record: NewRecord


class Replayer:
    """Appends what is replayed; durable when `replay` returns. `origins`: the topics that services read."""

    def __init__(
        self,
        log: Log,
        *,
        events_topic: str,
        origins: frozenset[str],
        partitions: int,
        limits: Limits,
        metrics: Metrics,
        plans: Plans | None = None,
    ) -> None:
        self._log = log
        self._events_topic = events_topic
        self._origins = origins
        self._partitions = partitions
        self._limits = limits
        self._metrics = metrics
        self._plans = plans or {}

    async def replay(self, letters: Sequence[StoredLetter]) -> list[Replayed]:
        """Replay in order. Raises LogError: then repeat, nothing doubles."""
        groups: dict[tuple[str, int], list[NewRecord]] = {}
        results = []
        for stored in letters:
            try:
                found = self._destination(stored)
            except Rejected as rejected:
                results.append(_result(stored, "refused", rejected.code, rejected.detail))
            else:
                groups.setdefault((found.topic, found.partition), []).append(found.record)
                results.append(_result(stored, found.outcome))
        for (topic, partition), records in groups.items():
            await self._log.append(topic, partition, records)
        for result in results:
            self._metrics.replayed.labels(result.outcome).inc()
        return results

    def _destination(self, stored: StoredLetter) -> _Destination:
        letter = stored.letter
        if not letter.complete:
            raise Rejected("incomplete", "It was not kept whole; have the sender send it again.")
        if letter.origin_topic == HTTP:
            return self._event(stored)
        partition = letter.origin_partition
        if letter.origin_topic not in self._origins or partition is None or partition >= self._partitions:
            raise Rejected("unknown_origin", "Nobody reads the topic or partition that it comes from.")
        record = NewRecord(stored.key, letter.raw, letter.headers)
        return _Destination("appended", letter.origin_topic, partition, record)

    def _event(self, stored: StoredLetter) -> _Destination:
        accepted = validate(stored.letter.raw, _arrival(stored.letter, self._limits))
        record = event_record(accepted, stored.traceparent)
        plan = self._plans.get(accepted.event.source)
        verdict = None if plan is None else plan.verdict(record.value or b"")
        if verdict is not None and verdict.blocked:
            raise verdict.refusal(accepted.event.message_id)
        return _Destination("accepted", self._events_topic, partition_of(accepted.key, self._partitions), record)


def _arrival(letter: DeadLetter, limits: Limits) -> Arrival:
    """As it came then, under the limits of now."""
    kept = letter.arrival
    if kept is None or letter.source is None:
        raise Rejected("incomplete", "Its source is not known; have the sender send it again.")
    shared = Envelope((), context=kept.context, integrations=kept.integrations)
    return Arrival(
        source=Source(letter.source, kept.trusted),
        received_at=letter.at,
        new_message_id=lambda: letter.id,
        type=kept.type,
        envelope_sent_at=kept.envelope_sent_at,
        header_sent_at=kept.header_sent_at,
        imported=kept.imported,
        context=kept.context,
        integrations=kept.integrations,
        shared_bytes=shared.shared_bytes(),
        ip=kept.ip,
        limits=limits.of_import() if kept.imported else limits,
    )


def _result(
    stored: StoredLetter, outcome: ReplayOutcome, reason: str | None = None, detail: str | None = None
) -> Replayed:
    return Replayed(
        id=stored.letter.id,
        partition=stored.partition,
        offset=stored.offset,
        outcome=outcome,
        reason=reason,
        detail=detail,
    )
