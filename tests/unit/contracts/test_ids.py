"""Ids come from content: fixed for ever, and no two different contents look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts import ids

PARTS = st.lists(st.text(max_size=8), max_size=4)


def test_known_values_never_change() -> None:
    cause = ids.event_cause("web", "m-1")
    entry = ids.entry_id("vip", 3, cause)
    assert ids.profile_id("web", "m-1") == "pd95f284284ac273f87269ddccc75cee1"
    assert entry == "e5a4e069775aa6724048213d2da677a1c"
    assert ids.entered_message_id(entry, "p1") == "m1a5e7dd17710044c2ca914e23d200da8"
    assert ids.exited_message_id(entry, cause) == "m0375a7644af2a76847b0ba97b9d1697f"
    assert (
        ids.outcome_message_id("s1", "clicked", "https://shop.example/", 2) == "o04b526bee99982853cd37f54a59f6828"
    )
    assert ids.send_id("cart-rescue", entry, "0") == "sc2e9c836f4ce13d94752d20a0da130e2"


@given(PARTS, PARTS)
def test_contents_that_differ_get_ids_that_differ(one: list[str], other: list[str]) -> None:
    assert (ids.content_id("x", *one) == ids.content_id("x", *other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a",), ("a", "")),
        (("a\x1fb",), ("a", "b")),
        ((), ("",)),
    ],
)
def test_the_border_between_parts_counts(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert ids.content_id("x", *one) != ids.content_id("x", *other)


def test_a_number_and_its_text_are_one_content() -> None:
    assert ids.content_id("x", 42) == ids.content_id("x", "42")


def test_a_lone_surrogate_has_an_id() -> None:
    assert ids.content_id("x", "\ud800") != ids.content_id("x", "?")


def test_causes_of_different_kinds_never_give_one_entry() -> None:
    causes = [
        ids.event_cause("web", "m"),
        ids.timer_cause("web", "m", 0),
        ids.record_cause("web", 0),
        ids.record_cause("m", 0),
    ]
    assert len({ids.entry_id("vip", 1, cause) for cause in causes}) == len(causes)


def test_an_exit_is_not_the_entry_of_the_same_cause() -> None:
    cause = ids.event_cause("web", "m")
    entry = ids.entry_id("vip", 1, cause)
    assert ids.entered_message_id(entry, "p") != ids.exited_message_id(entry, cause)
