"""How files are written: encodings, marks, headers, large cells. What cannot be read is told with what to do."""

import io
from contextlib import nullcontext
from typing import Any

import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.importing import table as tables
from headrace.importing.builder import Builder
from headrace.importing.mapping import CsvFormat
from headrace.importing.table import CsvTable, UnreadableFile
from tests.unit.importing.shop import HEADER, mapping

TEXT = "Jméno,Město\nŘehoř,Brno\n"


def table(content: bytes, **form: Any) -> CsvTable:
    return CsvTable(lambda: nullcontext(io.BytesIO(content)), CsvFormat(**form), "f.csv")


def cells(content: bytes, **form: Any) -> list[list[str]]:
    found = table(content, **form)
    return [found.header, *(list(row.cells) for row in found.rows())]


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-8", "utf-8-sig"),
        ("cp1250", "cp1250"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
    ],
)
def test_encodings(written: str, encoding: str) -> None:
    assert cells(TEXT.encode(written), encoding=encoding) == [["Jméno", "Město"], ["Řehoř", "Brno"]]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (TEXT.encode("cp1250"), "utf-8-sig", "after line 0: is not utf-8-sig; set csv.encoding .* cp1250"),
        (TEXT.encode("utf-16"), "utf-8-sig", "looks like UTF-16: set csv.encoding: utf-16"),
        ("A,B\n1,2\n".encode("utf-16-le"), "utf-8", "zero bytes .* csv.encoding: utf-16"),
        (TEXT.encode(), "utf-16", "is not utf-16"),
        (b"", "utf-8", "no header line"),
    ],
)
def test_a_wrong_encoding_is_told_with_what_to_write(content: bytes, encoding: str, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        cells(content, encoding=encoding)


def test_marks_and_names_are_those_of_the_mapping() -> None:
    content = b"'a;b'\t1\n=cmd()\t'x\ny'\n"
    rows = cells(content, delimiter="\t", quote="'", columns=["A", "B"])
    assert rows == [["A", "B"], ["a;b", "1"], ["=cmd()", "x\ny"]]


def test_a_row_has_the_line_on_which_it_ends() -> None:
    assert [row.line for row in table(b'A,B\n"x\ny",1\n\nz,2\n').rows()] == [3, 5]


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableFile, match="line 2: unexpected end of data: a quote that is never closed"):
        cells(b'A,B\n"x,1\n')
    huge = b'A,B\n"' + b"x" * tables.MAX_CELL_CHARS + b'\n",1\n'
    with pytest.raises(UnreadableFile, match="a cell of more than 1048576 characters"):
        cells(huge)


def test_a_large_cell_is_read() -> None:
    assert len(cells(b"A\n" + b"x" * 500_000 + b"\n")[1][0]) == 500_000


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (["receipt", *HEADER[1:]], "Receipt: is no column of the file (did you mean receipt?)"),
        (["Reciept", *HEADER[1:]], "Receipt: is no column of the file (did you mean Reciept?)"),
        ([";".join(HEADER)], "the header is one column with ';' in it: set csv.delimiter: ';'"),
        (["R1", "A", "2", "9.90", "24.12.2025", "17850"], "name the columns of a file without a header line"),
        ([*HEADER, "Sku"], "Sku: stands twice in the file's header"),
    ],
)
def test_a_header_that_does_not_fit_is_told_with_what_was_meant(header: list[str], told: str) -> None:
    with pytest.raises(InvalidDefinition) as found:
        Builder(mapping(), header)
    assert any(told in f"{one.path}: {one.reason} ({one.suggestion})" for one in found.value.problems)


def test_columns_that_nobody_asks_for_may_be_nameless_and_alike() -> None:
    Builder(mapping(), [*HEADER, "", "", "Note", "Note"])
