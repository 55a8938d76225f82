"""However the lines of receipts are mixed, every receipt comes out once, whole and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.importing.grouping import TooScattered, grouped, survey
from headrace.importing.rows import NumberedRow, Row


def receipt_of(row: Row) -> str | None:
    return row[0] or None


def numbered(names: list[str]) -> list[NumberedRow]:
    return [NumberedRow(line, [name]) for line, name in enumerate(names, 2)]


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=40))
def test_every_receipt_comes_once_and_whole(names: list[str]) -> None:
    rows = numbered(names)
    groups = list(grouped(rows, receipt_of, survey(rows, receipt_of)))
    expected = {name: [row for row in rows if row.cells == [name]] for name in names if name}
    assert {group[0].cells[0]: group for group in groups if group[0].cells != [""]} == expected
    assert sum(map(len, groups)) == len(rows)
    assert [row for group in groups for row in group if row.cells == [""]] == [
        row for row in rows if row.cells == [""]
    ]


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_adjacent_receipts_need_no_memory(names: list[str]) -> None:
    rows = numbered(sorted(names))
    found = survey(rows, receipt_of)
    assert found.rows == len(rows)
    assert found.ends == {}
    assert [group[0].cells[0] for group in grouped(rows, receipt_of, found, max_held=0)] == sorted(set(names))


def test_without_a_receipt_column_every_row_stands_alone() -> None:
    rows = numbered(["a", "a"])
    assert list(grouped(rows, None, survey(rows, None))) == [[rows[0]], [rows[1]]]


def test_a_scattered_file_is_refused_with_the_line() -> None:
    rows = numbered(["a", "b", "c", "a", "b", "c"])
    with pytest.raises(TooScattered, match="line 4: more than 2 rows wait"):
        list(grouped(rows, receipt_of, survey(rows, receipt_of), max_held=2))
