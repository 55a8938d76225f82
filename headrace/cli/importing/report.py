"""The report of rows that were not imported: a CSV beside the summary, made only when there is something in it."""

import csv
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from headrace.importing.outcome import Rejection
from headrace.contracts.errors import HeadraceError


class ReportUnwritable(HeadraceError):
    """The report cannot be written. Name another place with --rejected."""


class Report:
    """Counts rejections and writes each with its line, column, reason and messageId."""

    def __init__(self, path: Path, *, resumed: bool) -> None:
        self.path = path
        self.rows = 0
        self.first: Rejection | None = None
        self._resumed = resumed
        self._file: TextIO | None = None
        self._writer: Any = None

    def add(self, rejection: Rejection) -> None:
        self.rows += rejection.rows
        self.first = self.first or rejection
        if self._file is None:
            self._open()
        self._writer.writerow([rejection.line, rejection.column, rejection.reason, rejection.message_id])

    def _open(self) -> None:
        try:
            file = self.path.open("a" if self._resumed else "w", encoding="utf-8", newline="")
        except OSError as error:
            raise ReportUnwritable(
                f"cannot write {self.path}: {error.strerror}; name another place with --rejected"
            ) from error
        self._file = file
        self._writer = csv.writer(file)
        if file.tell() == 0:
            self._writer.writerow(["line", "column", "reason", "message_id"])

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
