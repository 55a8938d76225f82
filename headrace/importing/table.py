"""Reading a CSV: its header and its rows, from the beginning as often as asked."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, BinaryIO

from headrace.contracts.errors import HeadraceError
from headrace.importing.mapping import CsvFormat
from headrace.importing.rows import NumberedRow

if TYPE_CHECKING:
    import _csv  # the reader has no public name before Python 3.13

MAX_CELL_CHARS = 1 << 20
csv.field_size_limit(MAX_CELL_CHARS)  # of the process: a quote that is never closed must not fill the memory

_MARK = "\ufeff"
_UTF16 = "set csv.encoding: utf-16 in the mapping (utf-16-le without a byte order mark)"


class UnreadableFile(HeadraceError):
    """The file cannot be read to its end; nothing after that point would be imported."""


class CsvTable:
    """A CSV. `opened` gives its bytes anew, errors call it `name`. Raises UnreadableFile without a header."""

    def __init__(
        self, opened: Callable[[], AbstractContextManager[BinaryIO]], format: CsvFormat, name: str
    ) -> None:
        self._opened = opened
        self._format = format
        self._name = name
        self.header = format.columns or self._read_header()

    def rows(self) -> Iterator[NumberedRow]:
        """Every row after the header; empty lines are skipped. Raises UnreadableFile with the line."""
        with self._reader() as reader:
            if not self._format.columns:
                next(reader, None)
            for cells in reader:
                if cells:
                    yield NumberedRow(reader.line_num, cells)

    def _read_header(self) -> list[str]:
        with self._reader() as reader:
            header: list[str] | None = next(reader, None)
        if not header:
            raise UnreadableFile(f"{self._name} has no header line naming its columns")
        header[0] = header[0].removeprefix(_MARK)
        if any("\0" in name for name in header):
            raise UnreadableFile(f"{self._name} has zero bytes in its header, as UTF-16 has: {_UTF16}")
        return header

    @contextmanager
    def _reader(self) -> Iterator["_csv.Reader"]:
        form = self._format
        with self._opened() as raw:
            text = io.TextIOWrapper(raw, encoding=form.encoding, newline="")
            reader = csv.reader(text, delimiter=form.delimiter, quotechar=form.quote, strict=True)
            try:
                yield reader
            except csv.Error as error:
                raise UnreadableFile(f"{self._name}, line {reader.line_num}: {_words(error)}") from error
            except UnicodeError as error:
                raise UnreadableFile(
                    f"{self._name}, after line {reader.line_num}: is not {form.encoding}; {_other_encoding(error)}"
                ) from error


def _words(error: csv.Error) -> str:
    text = str(error)
    if "field limit" in text:
        return f"a cell of more than {MAX_CELL_CHARS} characters; is a quote before it never closed?"
    if "unexpected end of data" in text:
        return f"{text}: a quote that is never closed"
    return text


def _other_encoding(error: UnicodeError) -> str:
    if isinstance(error, UnicodeDecodeError) and error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"it looks like UTF-16: {_UTF16}"
    return "set csv.encoding in the mapping, e.g. cp1250 (Windows in Central Europe), utf-8 or utf-16"
