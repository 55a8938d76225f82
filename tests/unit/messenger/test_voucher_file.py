"""Files of codes: read as they come, in whatever pieces; written so that a spreadsheet runs none of it."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ApiError
from services.messenger import voucher_file
from services.messenger.voucher_file import COLUMNS, BadLine, code_of, head, lines, rows


async def _pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def read(*pieces: bytes) -> list[str]:
    async def all_of_it() -> list[str]:
        return [line async for line in lines(_pieces(pieces))]

    return asyncio.run(all_of_it())


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\ufeff", exclude_categories=["Cs"])), max_size=8),
    st.data(),
)
def test_lines_are_the_same_in_whatever_pieces_they_come(words: list[str], data: st.DataObject) -> None:
    whole = "".join(f"{word}\n" for word in words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(*pieces) == words
    assert read(whole.rstrip(b"\n")) == "\n".join(words).rstrip("\n").split("\n") or not whole.strip(b"\n")


def test_a_file_that_is_none() -> None:
    with pytest.raises(ApiError, match="line 2 is not"):
        read(b"ABC\n\xff\xfe\n")
    with pytest.raises(ApiError, match="one code a line"):
        read(b"A" * 1_001)


def test_a_million_codes_and_a_header_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voucher_file, "MAX_CODES", 2)
    assert read(b"code\nAAA\nBBB") == ["code", "AAA", "BBB"]
    for over in (b"code\nAAA\nBBB\nCCC", b"code\nAAA\nBBB\nCCC\n"):
        with pytest.raises(ApiError, match="at most 2"):
            read(over)


@pytest.mark.parametrize(
    ("line", "code"),
    [("ABC", "ABC"), (' "ABC-1" ,x', "ABC-1"), ("ABC\r", "ABC"), ("", None), (" ,x", None), ("Code,x", None)],
)
def test_the_code_of_a_line(line: str, code: str | None) -> None:
    assert code_of(1, line) == code


@pytest.mark.parametrize("line", ["AB", "A" * 65, "A B C", "=ABC()", "žluť", '"ABC', "CODE'"])
def test_a_line_without_a_code(line: str) -> None:
    with pytest.raises(BadLine, match="3 to 64"):
        code_of(2, line)


def test_code_is_a_header_only_in_the_first_line() -> None:
    assert code_of(2, "code") == "code"


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text() | st.integers() | st.none()))
def test_no_cell_is_a_formula_and_nothing_is_lost(cells: dict[str, object]) -> None:
    row = {**dict.fromkeys(COLUMNS), **cells}
    header, found = csv.reader(io.StringIO(head() + rows([row]), newline=""))
    assert header == list(COLUMNS)
    for cell, value in zip(found, row.values(), strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        plain = "" if value is None else str(value)
        assert cell in (plain, f"'{plain}")
