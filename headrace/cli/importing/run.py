"""One import: reads the file in order, sends its messages, reports the rest, remembers how far it got."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from headrace.cli.importing.checkpoint import Checkpoint
from headrace.cli.importing.lanes import Batch, Lanes
from headrace.cli.importing.ndjson import LineReader
from headrace.cli.importing.progress import Advance
from headrace.cli.importing.report import Report
from headrace.cli.importing.sender import Sender
from headrace.cli.importing.source import CsvFiles, Lines, NdjsonFiles
from headrace.contracts.errors import HeadraceError
from headrace.importing.builder import Builder
from headrace.importing.mapping import load_mapping
from headrace.importing.outcome import Outgoing, Rejection

LANES = 4
FIRST_SHOWN = 3
_CHECKPOINT_EVERY = 1.0
_REQUEST_TIMEOUT = 30.0


class WrongFile(HeadraceError):
    """The file and the mapping do not fit together."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files ready to be read: how many rows they have, what these become, and where a line of them stands."""

    rows: int
    outcomes: Iterator[Outgoing | Rejection]
    lines: Lines


def open_source(files: Sequence[Path], mapping_file: Path | None) -> Source:
    """Read the files once, to know that they can be read to their end and how long they are."""
    if mapping_file is None:
        return _open_ndjson(files)
    mapping = load_mapping(mapping_file)
    table = CsvFiles(files, mapping.csv)
    builder = Builder(mapping, table.header)
    found = builder.survey(table.rows())
    return Source(found.rows, builder.outcomes(table.rows(), found), table.lines)


def _open_ndjson(files: Sequence[Path]) -> Source:
    lines = NdjsonFiles(files)
    for file in files:
        _refuse_csv(file)
    rows = sum(1 for _ in lines.rows())
    reader = LineReader()
    return Source(rows, (reader.read(line, content) for line, content in lines.rows()), lines.lines)


def _refuse_csv(file: Path) -> None:
    first = next(NdjsonFiles([file]).rows(), None)
    if first is not None and not first[1].startswith(b"{"):
        raise WrongFile(
            f"{file} is no NDJSON; for a CSV name its mapping: headrace import {file} --mapping M.yaml"
        )


class Run:
    """The state of one import. `accepted` counts this run's acknowledged messages, `first` are the first
    that were read."""

    def __init__(self, source: Source, start: int, report: Report, advance: Advance) -> None:
        self.start = start
        self.read = 0
        self.accepted = 0
        self.largest = 0
        self.first: list[Outgoing] = []
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
                if len(self.first) < FIRST_SHOWN:
                    self.first.append(outcome)
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
