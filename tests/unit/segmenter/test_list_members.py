"""Members of a list as they are uploaded: lines come in pieces of any size."""

import csv
import io
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ApiError
from services.segmenter.list_members import Csv, Identifier, Ndjson, Person, lines, parse_request

IDS = st.text(st.characters(exclude_categories=("Z", "C"), codec="utf-8"), min_size=1, max_size=9)


async def pieces(text: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


async def people(text: bytes, form: Csv | Ndjson, size: int = 7) -> list[Person]:
    found, number = [], 0
    async for line in lines(pieces(text, size)):
        number += 1
        person = form.person(line, number)
        if person is not None:
            found.append(person)
    return found


@given(st.lists(st.tuples(IDS, IDS)), st.integers(1, 50), st.sampled_from(["\n", "\r\n"]), st.booleans())
async def test_csv_says_the_same_in_whatever_pieces_it_comes(
    pairs: list[tuple[str, str]], size: int, end: str, marked: bool
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(("type", "value"))
    writer.writerows(pairs)
    text = ("\ufeff" if marked else "") + out.getvalue()
    trimmed = [Identifier(kind.strip(), value.strip()) for kind, value in pairs]
    assert await people(text.encode(), Csv(), size) == trimmed


async def test_ndjson_takes_ids_and_identifiers() -> None:
    text = b'"p1"\n{"profile_id": "p2"}\r\n \n{"type": "email", "value": "a@shop.test"}'
    assert await people(text, Ndjson()) == ["p1", "p2", Identifier("email", "a@shop.test")]


async def test_an_upload_has_an_end() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"p1\n" * 100_000

    with pytest.raises(ApiError) as refused:
        [line async for line in lines(endless())]
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"add": "p1"}', b'{"add": [7]}', b'{"add": [{"type": "email"}]}', b'{"add": [""]}']
)
def test_a_request_that_names_nobody_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError):
        parse_request(body)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"profile_id,user_id,email,phone,entered_at\np1,u1,a@shop.test,,2026-01-01\n", ["p1"]),
        (b"Email\na@shop.test\n", [Identifier("email", "a@shop.test")]),
        (b"name,phone,user_id\nEva,+420601,u1\n", [Identifier("user_id", "u1")]),
        (b"note,value,type\nx,9001,loyalty_card\n", [Identifier("loyalty_card", "9001")]),
    ],
)
async def test_a_csv_may_have_other_columns(text: bytes, found: list[Person]) -> None:
    assert await people(text, Csv()) == found


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"name;city", "must name a column profile_id, user_id"), (b"email,email", "names email twice")],
)
async def test_a_csv_that_names_nobody_is_refused(head: bytes, reason: str) -> None:
    with pytest.raises(ApiError, match=f"Line 1: the first line {reason}"):
        await people(head + b"\nx\n", Csv())
