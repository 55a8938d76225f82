"""The report of rows that were not imported: a CSV beside the summary, made only when there is something in it."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from headrace.contracts.csv_text import csv_rows
from headrace.contracts.errors import HeadraceError
from headrace.importing.outcome import Rejection

HEAD = ("file", "line", "column", "reason", "message_id")


class ReportUnwritable(HeadraceError):
    """The report cannot be written. Name another place with --rejected."""


class Report:
    """Counts rejections and writes each with its file, line, column, reason and messageId. `place` gives file and
    line of a line that is counted through all files."""

    def __init__(self, path: Path, place: Callable[[int], tuple[str, int]], *, resumed: bool) -> None:
        self.path = path
        self.place = place
        self.rows = 0
        self.first: Rejection | None = None
        self._resumed = resumed
        self._file: TextIO | None = None

    def add(self, rejection: Rejection) -> None:
        self.rows += max(1, rejection.rows)
        self.first = self.first or rejection
        file = self._file or self._open()
        name, line = self.place(rejection.line)
        cells = (name, line, rejection.column, rejection.reason, rejection.message_id)
        file.write(csv_rows([cells]))

    def _open(self) -> TextIO:
        try:
            file = self.path.open("a" if self._resumed else "w", encoding="utf-8", newline="")
        except OSError as error:
            raise ReportUnwritable(
                f"cannot write {self.path}: {error.strerror}; name another place with --rejected"
            ) from error
        self._file = file
        if file.tell() == 0:
            file.write(csv_rows([HEAD]))
        return file

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
