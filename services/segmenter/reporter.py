"""The segmenter's observer: counts what happened, and reports the life of definitions to Postgres."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import asyncpg
import structlog

from headrace.contracts.profile_event import EventRow
from headrace.contracts.segment_change import ChangeAction, ChangeReason
from headrace.contracts.topics import PROFILE_EVENTS
from headrace.runtime.metrics import Metrics
from services.segmenter.change import Transition
from services.segmenter.commit import Incoming
from services.segmenter.controls import Controls
from services.segmenter.definitions import Backfilling, Definitions, Report

log = structlog.get_logger()

RETRY_SECONDS = 1.0
PROGRESS_MS = 1_000


class Reporter:
    """Keeps `observer.Observer`. Reports are written by `run`, again until Postgres has them; after a crash
    every partition reports anew when it is opened. `clock` gives milliseconds since the epoch."""

    def __init__(
        self, definitions: Definitions, controls: Controls, metrics: Metrics, *, clock: Callable[[], int]
    ) -> None:
        self._definitions = definitions
        self._controls = controls
        self._metrics = metrics
        self._clock = clock
        self._waiting: set[Report] = set()
        self._told: set[Report] = set()
        self._progress: dict[tuple[str, int, int], Backfilling] = {}
        self._progress_at = 0
        self._wake = asyncio.Event()

    def committed(self, partition: int, records: Sequence[Incoming], transitions: Sequence[Transition]) -> None:
        self._metrics.records.labels(PROFILE_EVENTS.name, partition).inc(len(records))
        if not transitions:
            return
        received = {r.row.seq: r.row.received_at for r in records if isinstance(r.row, EventRow)}
        now = self._clock()
        kinds: Counter[tuple[str, ChangeAction, ChangeReason]] = Counter()
        for change in transitions:
            kinds[change.segment_id, change.action, change.reason] += 1
            at = received.get(change.row_seq, 0)
            if at and change.reason in {"event", "trait"}:
                self._metrics.event_to_membership.observe(max(0, now - at) / 1000)
        for kind, count in kinds.items():  # a labelled metric costs more to find than to count
            self._metrics.transitions.labels(*kind).inc(count)

    def duplicate(self) -> None:
        self._metrics.duplicates.labels(PROFILE_EVENTS.name).inc()

    def gap(self, partition: int, expected: int, found: int) -> None:
        self._metrics.gaps.labels(PROFILE_EVENTS.name, partition).inc()
        self._metrics.halted.labels(partition).set(1)
        log.error(
            "sequence_gap", partition=partition, expected=expected, found=found, help="run `headrace republish`"
        )

    def fenced(self) -> None:
        self._metrics.fenced.labels("segmenter").inc()

    def definitions(self, partition: int, *, ready: Mapping[str, int], live: Mapping[str, int]) -> None:
        reports = {Report(key, version, partition, live=False) for key, version in ready.items()}
        reports |= {Report(key, version, partition, live=True) for key, version in live.items()}
        new = reports - self._told
        if new:
            self._waiting |= new
            self._wake.set()

    def backfilling(self, partition: int, versions: Mapping[str, int], *, done: int, total: int) -> None:
        """At most once a second it is written; what comes between is passed over. Soon enough it is all ready."""
        for key, version in versions.items():
            self._progress[key, version, partition] = Backfilling(key, version, partition, done, total)
        now = self._clock()
        if now - self._progress_at >= PROGRESS_MS:
            self._progress_at = now
            self._wake.set()

    async def run(self) -> None:
        """Write the reports as they come, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            reports, progress = self._waiting, list(self._progress.values())
            self._waiting, self._progress = set(), {}
            try:
                await self._write(reports, progress)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("report_waiting", error=type(error).__name__)
                self._waiting |= reports
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._told |= reports
            if reports:
                self._controls.wake()

    async def _write(self, reports: Collection[Report], progress: Sequence[Backfilling]) -> None:
        if progress:
            await self._definitions.backfilling(
                sorted(progress, key=lambda part: (part.segment_id, part.version, part.partition))
            )
        if reports:
            # of a partition that was ready and went live before this is written only the latter: a statement
            # that had both would be refused, again and again
            last = {(r.segment_id, r.version, r.partition): r for r in sorted(reports, key=lambda r: r.live)}
            await self._definitions.report([last[key] for key in sorted(last)])
