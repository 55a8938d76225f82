"""The report of rows that were not imported: a CSV beside the summary, made only when there is something in it."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from headrace.contracts.errors import HeadraceError
from headrace.importing.outcome import Rejection

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
        self._writer: Any = None

    def add(self, rejection: Rejection) -> None:
        self.rows += max(1, rejection.rows)
        self.first = self.first or rejection
        if self._file is None:
            self._open()
        file, line = self.place(rejection.line)
        cells = (file, str(line), rejection.column, rejection.reason, rejection.message_id)
        self._writer.writerow([_as_text(cell) for cell in cells])

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
            self._writer.writerow(["file", "line", "column", "reason", "message_id"])

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _as_text(cell: str) -> str:
    """A spreadsheet must not take what a file says for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
