"""What a search asks for."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ApiError
from services.profiles.cursors import decode_cursor, encode_cursor
from services.profiles.search import beginnings, containing, first_match, within

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(TEXT, TEXT)
def test_every_text_that_begins_so_is_within_and_no_other(query: str, value: str) -> None:
    ranges = beginnings(query, None)
    wanted = query.strip()
    if wanted and "\U0010ffff" not in value:
        assert within(ranges, wanted + value)
    if wanted and not any(character.isdecimal() or character.isdigit() for character in wanted):
        expected = value.startswith((wanted, wanted.lower()))
        assert within(ranges, value) == expected or "\U0010ffff" in value


@given(TEXT, st.sampled_from([None, "CZ"]))
def test_ranges_are_apart_and_ascend(query: str, region: str | None) -> None:
    ranges = beginnings(query, region)
    flat = [bound for one in ranges for bound in one]
    assert flat == sorted(flat)
    assert len(set(flat)) == len(flat)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Jana@", ["Jana@", "jana@"]),
        ("601 000 001", ["+420601000001", "601 000 001", "601000001"]),
        ("+420 601", ["+420 601", "+420601"]),
        ("601 000", ["+420601000", "601 000", "601000"]),
        ("00420 601", ["+420601", "00420 601", "00420601"]),
        ("  ", []),
        ("a\0", []),
    ],
)
def test_a_query_stands_for_its_usual_spellings(query: str, expected: list[str]) -> None:
    assert [low for low, _ in beginnings(query, "CZ")] == expected


def test_a_customer_is_listed_under_the_first_that_matches() -> None:
    ranges = beginnings("ab", None)
    assert first_match([("abc", "x"), ("abb", "y"), ("a", "z"), ("abb", "k")], ranges) == ("abb", "k")
    assert first_match([("a", "z")], ranges) is None


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("city", "Brno", [{"city": "Brno"}]),
        ("age", "42", [{"age": "42"}, {"age": 42}]),
        ("vip", "true", [{"vip": "true"}, {"vip": True}]),
        ("a.b", "x", [{"a": {"b": "x"}}]),
        ("first_name", "Jana", [{"first_name": "Jana"}, {"firstName": "Jana"}]),
        ("age", "1e999", [{"age": "1e999"}]),
        ("age", "[1]", [{"age": "[1]"}]),
        ("age", "null", [{"age": "null"}]),
    ],
)
def test_a_value_is_text_or_what_it_is_in_json(path: str, value: str, expected: list[object]) -> None:
    assert [msgspec.json.decode(msgspec.json.encode(one)) for one in containing(path, value)] == expected


@pytest.mark.parametrize("path", ["", "a.", ".a", "a..b", "a\0", "computed.total", "x" * 300])
def test_what_names_no_trait_is_refused(path: str) -> None:
    with pytest.raises(ApiError):
        containing(path, "1")


@given(st.lists(TEXT, max_size=4))
def test_a_cursor_is_read_as_it_was_written(parts: list[str]) -> None:
    assert decode_cursor(encode_cursor(parts)) == parts


@given(st.text(max_size=12))
def test_what_is_no_cursor_is_refused_and_nothing_else(text: str) -> None:
    with suppress(ApiError):  # any other error fails the test
        assert all(isinstance(part, str) for part in decode_cursor(text))
