"""Rows of exported members: what spreadsheets, CSV readers and line readers make of them."""

import csv
import io
import json

import pytest

from services.segmenter.export import ExportedMember, head, rows

EVA = ExportedMember("p1", "u1", "eva@example.com", "+420601000111", "2026-01-31T12:00:00.000Z", 3, "e1")


def member(user_id: str | None) -> ExportedMember:
    return ExportedMember("p1", user_id, None, None, None, 1, "e1")


def cell(user_id: str | None) -> str:
    (row,) = csv.reader(io.StringIO(rows("csv", [member(user_id)]).decode(), newline=""))
    return row[1]


def test_a_csv_has_a_head_and_a_row_per_member() -> None:
    assert head("csv") == b"profile_id,user_id,email,phone,entered_at,version,entry_id\r\n"
    assert rows("csv", [EVA]) == b"p1,u1,eva@example.com,'+420601000111,2026-01-31T12:00:00.000Z,3,e1\r\n"
    assert rows("csv", [member(None)]) == b"p1,,,,,1,e1\r\n"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_is_a_formula(first: str) -> None:
    assert cell(f"{first}cmd|'/c calc'!A1") == f"'{first}cmd|'/c calc'!A1"
    assert cell(f"a{first}b") == f"a{first}b"


@pytest.mark.parametrize("text", ["a,b", 'a"b', "a\nb", "Žluťoučký \N{FIRE}", "'"])
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert cell(text) == text
    assert json.loads(rows("ndjson", [member(text)]))["user_id"] == text


def test_ndjson_is_an_object_a_line_with_everything_as_it_is() -> None:
    assert head("ndjson") == b""
    first, second = rows("ndjson", [EVA, member(None)]).splitlines()
    assert json.loads(first) == {
        "profile_id": "p1",
        "user_id": "u1",
        "email": "eva@example.com",
        "phone": "+420601000111",
        "entered_at": "2026-01-31T12:00:00.000Z",
        "version": 3,
        "entry_id": "e1",
    }
    assert json.loads(second)["phone"] is None
