"""Reading files: plain or gzip, from the beginning as often as asked; several files as if they were one."""

import gzip
import hashlib
import io
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from headrace.importing.mapping import CsvFormat
from headrace.importing.rows import NumberedRow
from headrace.importing.table import CsvTable, UnreadableFile

MAX_LINE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Lines:
    """The lines of several files, counted through. `ends`: the last of each file, known after a first pass."""

    files: Sequence[Path]
    ends: list[int] = field(default_factory=list)

    def place(self, line: int) -> tuple[str, int]:
        """The file's name and the line in it."""
        number = min(bisect_left(self.ends, line), len(self.files) - 1) if self.ends else 0
        return str(self.files[number]), line - (self.ends[number - 1] if number else 0)


class CsvFiles:
    """CSV files with the same columns, in whatever order."""

    def __init__(self, files: Sequence[Path], format: CsvFormat) -> None:
        self._tables = [CsvTable(partial(opened, file), format, str(file)) for file in files]
        self.lines = Lines(files)
        self.header = [name.strip() for name in self._tables[0].header]
        self._orders = [
            _order(self.header, table.header, file) for table, file in zip(self._tables, files, strict=True)
        ]

    def rows(self) -> Iterator[NumberedRow]:
        """Every row of every file, its line counted through."""
        return self._tables[0].rows() if len(self._tables) == 1 else self._through()

    def _through(self) -> Iterator[NumberedRow]:
        ends: list[int] = []
        before = 0
        for table, order in zip(self._tables, self._orders, strict=True):
            last = 0
            for row in table.rows():
                last = row.line
                cells = row.cells
                if order is not None and len(cells) == len(order):
                    cells = [cells[place] for place in order]
                yield NumberedRow(before + last, cells)
            before += last
            ends.append(before)
        self.lines.ends = ends


def _order(header: list[str], other: list[str], file: Path) -> list[int] | None:
    """Where in the other file each column of `header` stands; None for the same order."""
    names = [name.strip() for name in other]
    if names == header:
        return None
    if sorted(names) != sorted(header) or len(set(names)) < len(names):
        raise UnreadableFile(f"{file} has other columns than the first file; import it by itself")
    return [names.index(name) for name in header]


class NdjsonFiles:
    """Files of one JSON document a line."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self.lines = Lines(files)

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """(line, counted through, and content) of every line that is not blank. Of a line of more than
        MAX_LINE_BYTES only the beginning is given."""
        ends: list[int] = []
        before = 0
        for file in self._files:
            number = 0
            for number, line in _lines(file):
                if content := line.strip():
                    yield before + number, content
            before += number
            ends.append(before)
        self.lines.ends = ends


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with opened(file) as raw:
        number = 0
        while line := raw.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(_MARK)
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = raw.readline(MAX_LINE_BYTES + 1)
            yield number, line


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed. Raises UnreadableFile for what cannot be opened or is cut off."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, io.BufferedReader(unpacked, 1 << 18))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from error


def digest(files: Sequence[Path]) -> str:
    """SHA-256 of the files as they lie on the disk."""
    result = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                result.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from error
    return result.hexdigest()
