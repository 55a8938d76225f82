"""Collecting: validate every event, make events and dead letters durable, then say what became of each."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import structlog

from headrace.contracts.errors import ApiError
from headrace.contracts.topics import partition_of
from headrace.log.port import Log, LogError, LogFull, NewRecord, RecordTooLarge
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from services.ingest.appender import Appender
from services.ingest.message_id import new_message_id
from services.ingest.plan import Plan, Plans, Verdict
from services.ingest.records import EventRecords, dead_letter, encode_event
from services.ingest.rejection import Rejected
from services.ingest.usual import Usual, UsualReader
from services.ingest.validation import Arrival, validate
from services.ingest.violations import Violations

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 1
RETRY_AFTER_FULL_SECONDS = 5
CHUNK_EVENTS = 500  # about 10 ms of work between two chances for other requests

_partition_of = lru_cache(maxsize=16_384)(partition_of)  # customers come again

Groups = dict[int, list[NewRecord]]


@dataclass(slots=True)
class Outcome:
    """What became of a request's events: how many were accepted, and (index, messageId, code) of the others."""

    accepted: int = 0
    rejected: list[tuple[int, str | None, str]] = field(default_factory=list)


class Collector:
    """Takes events into the log. Safe for concurrent requests of one event loop. `plans`: what each may be."""

    def __init__(
        self,
        log: Log,
        *,
        events_topic: str,
        dead_letters_topic: str,
        partitions: int,
        ack_timeout: float,
        metrics: Metrics,
        random: Callable[[int], bytes] = os.urandom,
        plans: Plans | None = None,
    ) -> None:
        self._events = Appender(log, events_topic)
        self._dead_letters = Appender(log, dead_letters_topic)
        self._partitions = partitions
        self._ack_timeout = ack_timeout
        self._metrics = metrics
        self._random = random
        self._accepted = lru_cache(metrics.accepted.labels)
        self.plans: Plans = plans or {}
        self.violations = Violations()

    def message_ids(self, received_at: int) -> Callable[[], str]:
        """A source of messageIds for events that came without one."""
        return lambda: new_message_id(received_at, self._random)

    async def collect(
        self, items: Sequence[bytes | msgspec.Raw], arrival: Arrival, traceparent: str, *, single: bool = False
    ) -> Outcome:
        """Validate and append `items`; return once all of it is durable.

        Raises ApiError 503 when the log does not take it in time (it may land: the messageId deduplicates),
        and 400 for a malformed event that came alone (`single`).
        """
        outcome = Outcome()
        plan = self.plans.get(arrival.source.name)
        for start in range(0, len(items), CHUNK_EVENTS):
            chunk = _Chunk(self._partitions, arrival, traceparent, plan)
            for index, item in enumerate(items[start : start + CHUNK_EVENTS], start):
                raw = bytes(item)
                try:
                    chunk.accept(raw)
                except Rejected as rejected:
                    if single and rejected.malformed:
                        raise ApiError(400, rejected.code, rejected.detail) from rejected
                    chunk.refuse(raw, rejected)
                    outcome.rejected.append((index, rejected.message_id, rejected.code))
            await self._append(chunk)
            outcome.accepted += sum(chunk.types.values())
            self._count(chunk, arrival.source.name)
            if plan is not None:
                self._note(chunk, plan, arrival)
        _before_answer()
        return outcome

    def submit(self, usual: Usual, source: str, traceparent: str) -> "asyncio.Future[None]":
        """Append one accepted event. Hand the future on to `acknowledge` once it is done."""
        record = EventRecords(source, traceparent).record(usual.key, usual.message_id, usual.value)
        futures = self._events.append({_partition_of(usual.key, self._partitions): [record]})
        deadline = asyncio.get_running_loop().call_later(self._ack_timeout, _give_up, futures)
        futures[0].add_done_callback(lambda _: deadline.cancel())
        return futures[0]

    def acknowledge(self, future: "asyncio.Future[None]", usual: Usual, source: str) -> None:
        """What became of `submit`: the event is durable, or an error as of `collect`, or CancelledError."""
        try:
            future.result()
        except (LogError, TimeoutError) as error:
            raise _refusal(error) from error
        self._accepted(source, usual.type).inc()
        _before_answer()

    async def close(self) -> None:
        await self._events.close()
        await self._dead_letters.close()

    async def _append(self, chunk: "_Chunk") -> None:
        futures = self._events.append(chunk.events)
        if chunk.dead_letters:
            futures += self._dead_letters.append(chunk.dead_letters)
        # a timer for all of them costs less than asyncio.timeout, and a request has one event as a rule
        deadline = asyncio.get_running_loop().call_later(self._ack_timeout, _give_up, futures)
        try:
            await (futures[0] if len(futures) == 1 else asyncio.gather(*futures))
        except (LogError, TimeoutError) as error:
            raise _refusal(error) from error
        finally:
            deadline.cancel()
            for future in futures:
                future.cancel()

    def _count(self, chunk: "_Chunk", source: str) -> None:
        metrics = self._metrics
        for kind, number in chunk.types.items():
            self._accepted(source, kind).inc(number)
        for reason, number in chunk.reasons.items():
            metrics.rejected.labels(source, reason).inc(number)
            metrics.dead_letters.labels(reason).inc(number)
        if chunk.placeholders:
            metrics.placeholder_ids.labels(source).inc(chunk.placeholders)

    def _note(self, chunk: "_Chunk", plan: Plan, arrival: Arrival) -> None:
        source = arrival.source.name
        for verdict, message_id in chunk.verdicts:
            for violation in verdict.violations:
                self._metrics.plan_violations.labels(source, plan.label(violation.event), violation.reason).inc()
                self.violations.add(
                    source, violation, blocked=verdict.blocked, message_id=message_id, at=arrival.received_at
                )


def _give_up(futures: "Sequence[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_exception(TimeoutError())


def _refusal(error: LogError | TimeoutError) -> ApiError:
    """What a request is told that the log did not take."""
    if isinstance(error, RecordTooLarge):
        return ApiError(413, "record_too_large", "An event is larger than the log takes.")
    if isinstance(error, LogFull):
        return _unavailable(RETRY_AFTER_FULL_SECONDS)
    if isinstance(error, LogError):
        log.warning("append_failed", error=type(error).__name__)
    return _unavailable(RETRY_AFTER_SECONDS)


def _before_answer() -> None:
    failpoint("before_answer")


def _unavailable(retry_after: int) -> ApiError:
    return ApiError(
        503, "log_unavailable", "The event log does not answer; repeat the request.", retry_after=retry_after
    )


class _Chunk:
    """The records of some events, by partition, and what to count once they are durable."""

    def __init__(self, partitions: int, arrival: Arrival, traceparent: str, plan: Plan | None) -> None:
        self.events: Groups = {}
        self.dead_letters: Groups = {}
        self.types: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.placeholders = 0
        self.verdicts: list[tuple[Verdict, str]] = []
        self._plan = plan
        self._partitions = partitions
        self._arrival = arrival
        self._traceparent = traceparent
        self._read = UsualReader(arrival).read
        self._record = EventRecords(arrival.source.name, traceparent).record

    def accept(self, raw: bytes) -> None:
        """Raises Rejected."""
        usual = self._read(raw)
        if usual is not None:
            kind, key, message_id, value = usual.type, usual.key, usual.message_id, usual.value
            placeholders = 0
        else:
            accepted = validate(raw, self._arrival)
            kind, key, message_id = accepted.event.type, accepted.key, accepted.event.message_id
            value, placeholders = encode_event(accepted.event), accepted.placeholders
        if self._plan is not None:
            self._hold_to(self._plan, value, message_id)
        record = self._record(key, message_id, value)
        self.placeholders += placeholders
        partition = _partition_of(key, self._partitions)
        group = self.events.get(partition)
        if group is None:
            group = self.events[partition] = []
        group.append(record)
        self.types[kind] = self.types.get(kind, 0) + 1

    def _hold_to(self, plan: Plan, value: bytes, message_id: str) -> None:
        verdict = plan.verdict(value)
        if verdict is not None:
            self.verdicts.append((verdict, message_id))
            if verdict.blocked:
                raise verdict.refusal(message_id)

    def refuse(self, raw: bytes, rejected: Rejected) -> None:
        record = dead_letter(raw, rejected, self._arrival, self._traceparent)
        partition = partition_of((record.key or b"").decode(), self._partitions)
        self.dead_letters.setdefault(partition, []).append(record)
        self.reasons[rejected.code] = self.reasons.get(rejected.code, 0) + 1
