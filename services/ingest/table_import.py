"""Taking in a table: row by row into events, and these into the log, in slices between which others are served."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from headrace.contracts.errors import ApiError, InvalidDefinition
from headrace.importing.builder import Builder
from headrace.importing.grouping import TooScattered
from headrace.importing.outcome import Outgoing, Rejection
from headrace.importing.table import CsvTable, UnreadableFile
from services.ingest.collector import Outcome
from services.ingest.uploads import Upload, invalid_mapping

SLICE = 250  # messages at a time, about 20 ms of work
MAX_LISTED = 1_000
UNREADABLE_ROW = "unreadable_row"

Collect = Callable[[Sequence[bytes]], Awaitable[Outcome]]


@dataclass(slots=True)
class TableReport:
    """What became of a table's rows. `unreadable`: how many never were an event. `rejected` lists the first
    MAX_LISTED that were not taken."""

    rows: int
    accepted: int = 0
    unreadable: int = 0
    rejected_rows: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, rejection: Rejection, code: str) -> None:
        rows = max(1, rejection.rows)
        self.rejected_rows += rows
        self.unreadable += rows if code == UNREADABLE_ROW else 0
        if len(self.rejected) < MAX_LISTED:
            told = {"line": rejection.line, "column": rejection.column, "messageId": rejection.message_id}
            named = {name: value for name, value in told.items() if value}
            self.rejected.append({**named, "code": code, "message": rejection.reason})

    def answer(self) -> bytes:
        counts = {"rows": self.rows, "accepted": self.accepted, "rejected_rows": self.rejected_rows}
        return msgspec.json.encode({"success": True, **counts, "rejected": self.rejected})


async def import_table(upload: Upload, collect: Collect) -> TableReport:
    """Read the whole table first, then hand its messages to `collect`.

    Raises ApiError 400 for a table that cannot be read to its end or does not have the mapping's columns (then
    nothing was taken), and what `collect` raises (then some were, and sending it again is safe).
    """
    table, builder = _opened(upload)
    try:
        found = await asyncio.to_thread(builder.survey, table.rows())
    except UnreadableFile as error:
        raise _unreadable(error) from error
    report = TableReport(found.rows)
    outcomes = builder.outcomes(table.rows(), found)
    while taken := _slice(outcomes):
        await _take(taken, collect, report)
        await asyncio.sleep(0)
    return report


def _opened(upload: Upload) -> tuple[CsvTable, Builder]:
    try:
        table = CsvTable(lambda: nullcontext(io.BytesIO(upload.content)), upload.mapping.csv, "the table")
        return table, Builder(upload.mapping, table.header)
    except UnreadableFile as error:
        raise _unreadable(error) from error
    except InvalidDefinition as error:
        raise invalid_mapping(error) from error


def _slice(outcomes: Iterator[Outgoing | Rejection]) -> list[Outgoing | Rejection]:
    try:
        return list(islice(outcomes, SLICE))
    except TooScattered as error:
        raise ApiError(400, "too_scattered", f"{error}.") from error


async def _take(taken: Sequence[Outgoing | Rejection], collect: Collect, report: TableReport) -> None:
    messages = [one for one in taken if isinstance(one, Outgoing)]
    for one in taken:
        if isinstance(one, Rejection):
            report.add(one, UNREADABLE_ROW)
    outcome = await collect([message.body for message in messages])
    report.accepted += outcome.accepted
    for index, message_id, code in outcome.rejected:
        message = messages[index]
        report.add(Rejection(message.line, "", code, message_id or message.message_id, message.rows), code)


def _unreadable(error: UnreadableFile) -> ApiError:
    return ApiError(400, "unreadable_table", f"{error}.")
