"""Reading the file: plain or gzip, CSV or NDJSON, from the beginning as often as asked."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from headrace.importing.grouping import NumberedRow
from headrace.importing.mapping import CsvFormat
from headrace.contracts.errors import HeadraceError

if TYPE_CHECKING:
    import _csv  # the reader has no public name before Python 3.13

_GZIP = b"\x1f\x8b"


class UnreadableFile(HeadraceError):
    """The file cannot be read to its end; nothing after that point would be imported."""


class CsvFile:
    """A CSV with a header line."""

    def __init__(self, path: Path, format: CsvFormat) -> None:
        self._path = path
        self._format = format
        self.header = self._read_header()

    def rows(self) -> Iterator[NumberedRow]:
        """Every row after the header; empty lines are skipped. Raises UnreadableFile with the line."""
        with self._open() as reader:
            next(reader, None)
            for cells in reader:
                if cells:
                    yield NumberedRow(reader.line_num, cells)

    def _read_header(self) -> list[str]:
        with self._open() as reader:
            header: list[str] | None = next(reader, None)
        if not header:
            raise UnreadableFile(f"{self._path} has no header line naming its columns")
        return header

    @contextmanager
    def _open(self) -> Iterator["_csv.Reader"]:
        with opened(self._path) as raw:
            text = io.TextIOWrapper(raw, encoding=self._format.encoding, newline="")
            reader = csv.reader(text, delimiter=self._format.delimiter, quotechar=self._format.quote, strict=True)
            try:
                yield reader
            except csv.Error as error:
                raise UnreadableFile(f"{self._path}, line {reader.line_num}: {error}") from error
            except UnicodeDecodeError as error:
                raise UnreadableFile(
                    f"{self._path}, after line {reader.line_num}: is not {self._format.encoding}; "
                    "set csv.encoding in the mapping, e.g. cp1250"
                ) from error


def ndjson_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number, content) of every line that is not blank."""
    with opened(path) as raw:
        for number, line in enumerate(raw, 1):
            if content := line.strip():
                yield number, content


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


def digest(path: Path) -> str:
    """SHA-256 of the file as it lies on the disk."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from error
