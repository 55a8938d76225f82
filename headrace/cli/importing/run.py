"""One import: reads the file in order, sends its messages, reports the rest, remembers how far it got."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from headrace.importing.builder import Builder
from headrace.cli.importing.checkpoint import Checkpoint
from headrace.importing.grouping import grouped, survey
from headrace.cli.importing.lanes import Batch, Lanes
from headrace.importing.mapping import load_mapping
from headrace.cli.importing.ndjson import read_message
from headrace.importing.outcome import Outgoing, Rejection
from headrace.cli.importing.progress import Advance
from headrace.cli.importing.report import Report
from headrace.cli.importing.sender import Sender
from headrace.cli.importing.source import CsvFile, ndjson_lines
from headrace.contracts.errors import HeadraceError

LANES = 4
_CHECKPOINT_EVERY = 1.0
_REQUEST_TIMEOUT = 30.0


class WrongFile(HeadraceError):
    """The file and the mapping do not fit together."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file ready to be read: how many rows it has and what they become."""

    rows: int
    outcomes: Iterator[Outgoing | Rejection]


def open_source(file: Path, mapping_file: Path | None) -> Source:
    """Read the whole file once, to know that it can be read to its end and how long it is."""
    if mapping_file is None:
        _refuse_csv(file)
        rows = sum(1 for _ in ndjson_lines(file))
        return Source(rows, (read_message(line, content) for line, content in ndjson_lines(file)))
    mapping = load_mapping(mapping_file)
    table = CsvFile(file, mapping.csv)
    builder = Builder(mapping, table.header)
    found = survey(table.rows(), builder.receipt_of)
    return Source(found.rows, (builder.build(rows) for rows in grouped(table.rows(), builder.receipt_of, found)))


def _refuse_csv(file: Path) -> None:
    first = next(ndjson_lines(file), None)
    if first is not None and not first[1].startswith(b"{"):
        raise WrongFile(
            f"{file} is no NDJSON; for a CSV name its mapping: headrace import {file} --mapping M.yaml"
        )


class Run:
    """The state of one import. `accepted` and `sent_bytes` count this run's acknowledged messages."""

    def __init__(self, source: Source, start: int, report: Report, advance: Advance) -> None:
        self.start = start
        self.read = 0
        self.accepted = 0
        self.largest = 0
        self._source = source
        self._report = report
        self._advance = advance

    def messages(self) -> Iterator[tuple[int, Outgoing | None]]:
        """(place, message) of what is to be sent, in order; None where there is nothing to send."""
        for place, outcome in enumerate(self._source.outcomes):
            self._advance(outcome.rows)
            if place < self.start:
                yield place, None
            elif isinstance(outcome, Rejection):
                self._report.add(outcome)
                yield place, None
            else:
                self.read += 1
                self.largest = max(self.largest, len(outcome.body))
                yield place, outcome

    async def send(self, address: str, write_key: str, patience: float, checkpoint: Checkpoint) -> None:
        """Send everything; raises ImportFailed when it ended early, with the checkpoint kept."""
        lanes = Lanes(LANES)

        def answered(batch: Batch, refused: list[Rejection]) -> None:
            lanes.acknowledge(batch)
            self.accepted += len(batch.messages) - len(refused)
            for rejection in refused:
                self._report.add(rejection)

        client = httpx.AsyncClient(
            base_url=address, auth=(write_key, ""), timeout=_REQUEST_TIMEOUT, trust_env=False
        )
        remember = _every(_CHECKPOINT_EVERY, lambda: checkpoint.save(lanes.position()))
        try:
            async with client:
                sender = Sender(client, lanes=LANES, answered=answered, patience=patience)
                async with sender.running():
                    await self._feed(lanes, sender, remember)
        except BaseExceptionGroup as group:
            checkpoint.save(lanes.position())
            raise _first(group) from group
        except BaseException:
            checkpoint.save(lanes.position())
            raise
        checkpoint.clear()

    async def _feed(self, lanes: Lanes, sender: Sender, remember: Callable[[], None]) -> None:
        for place, message in self.messages():
            if message is None:
                lanes.skip(place)
                continue
            if (closed := lanes.add(place, message)) is not None:
                await sender.send(closed)
                remember()
        for batch in lanes.rest():
            await sender.send(batch)


def _every(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    due = time.monotonic() + seconds

    def maybe() -> None:
        nonlocal due
        if time.monotonic() >= due:
            act()
            due = time.monotonic() + seconds

    return maybe


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that ended the import; when several lanes failed, one speaks for all."""
    failure = group.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
