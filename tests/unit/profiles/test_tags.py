"""The latest change decides; at the same instant, taking off."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profiles.profile import Documents
from services.profiles.tags import MAX_TAGS, apply_tag_now, apply_tags, described, tag_name, tagged

NAMES = st.sampled_from(["vip", "gold", "list:beta"])
CHANGES = st.lists(st.tuples(NAMES, st.booleans(), st.integers(0, 3)), max_size=10)
Changes = list[tuple[str, bool, int]]


def state(changes: Changes) -> Documents:
    documents = Documents()
    for name, on, time in changes:
        apply_tags(documents.tags, documents.tag_times, {name: on}, time)
    return documents


def held(documents: Documents) -> tuple[list[str], dict[str, int]]:
    return documents.tags, documents.tag_times


@given(CHANGES, st.randoms())
def test_the_order_of_changes_does_not_matter(changes: Changes, random: Any) -> None:
    assert held(state(random.sample(changes, len(changes)))) == held(state(changes))


@given(CHANGES)
def test_the_latest_change_of_a_tag_counts_and_of_two_at_once_the_removal(changes: Changes) -> None:
    latest = {name: max((time, not on) for n, on, time in changes if n == name) for name, _, _ in changes}
    assert state(changes).tags == sorted(name for name, (_, off) in latest.items() if not off)


@given(CHANGES, CHANGES)
def test_a_merge_is_the_same_as_one_history(one: Changes, other: Changes) -> None:
    winner, loser = state(one), state(other)
    before = set(winner.tags)
    _, _, changed = winner.absorb(loser)
    assert held(winner) == held(state(one + other))
    assert {name for name, on in changed.items() if on} == set(winner.tags) - before
    assert {name for name, on in changed.items() if not on} == before - set(winner.tags)


@given(CHANGES)
def test_what_is_reported_leads_from_nothing_to_what_is_held(changes: Changes) -> None:
    documents, on = Documents(), set[str]()
    for name, value, time in changes:
        for changed, now_on in apply_tags(documents.tags, documents.tag_times, {name: value}, time).items():
            assert now_on is (changed not in on)
            on ^= {changed}
    assert sorted(on) == documents.tags


@given(CHANGES, NAMES, st.lists(st.booleans(), min_size=1, max_size=5))
def test_who_changes_it_now_comes_after_all_that_is_known(changes: Changes, name: str, wanted: list[bool]) -> None:
    documents = state(changes)
    for on in wanted:
        was_on = name in documents.tags
        changed = apply_tag_now(documents.tags, documents.tag_times, name, on, 3)
        assert changed == ({name: on} if on != was_on else {})
    assert (name in documents.tags) is wanted[-1]
    assert documents.tag_times[name] >= 3


def test_a_profile_takes_so_many_names_and_no_more() -> None:
    documents = state([(f"tag-{n}", n % 2 == 0, n) for n in range(MAX_TAGS)])
    assert apply_tags(documents.tags, documents.tag_times, {"further": True}, 9) == {}
    assert apply_tag_now(documents.tags, documents.tag_times, "further", True, 9) == {}
    assert len(documents.tag_times) == MAX_TAGS
    assert "further" not in documents.tag_times
    assert apply_tags(documents.tags, documents.tag_times, {"tag-1": True}, MAX_TAGS) == {"tag-1": True}


@pytest.mark.parametrize(
    "name", [None, 1, True, "", "  ", ["vip"], "x" * 101, "a\nb", "a\x00", "a\x85b", "a\ud800", "list:", " list: "]
)
def test_what_is_no_name_of_a_tag(name: object) -> None:
    assert tag_name(name) is None
    assert tagged("Tag Added", {"tag": name}) == {}


@pytest.mark.parametrize("name", ["vip", "Věrný zákazník", "x" * 100, "ž" * 100, "🎁 gift"])
def test_a_name_is_trimmed_and_kept_as_it_is(name: str) -> None:
    assert tagged("Tag Added", {"tag": f" {name}\t"}) == {name: True}
    assert tagged("Tag Removed", {"tag": name}) == {name: False}


def test_events_that_are_sent_do_not_change_static_lists() -> None:
    for event in ("Tag Added", "Tag Removed"):
        assert tagged(event, {"tag": " list:beta "}) == {}


def test_how_a_change_by_api_reads_on_the_timeline() -> None:
    assert described("vip", True) == ("Tag Added", {"tag": "vip"})
    assert described("vip", False) == ("Tag Removed", {"tag": "vip"})
    assert described("list:beta", True) == ("List Joined", {"list": "beta"})
    assert described("list:beta", False) == ("List Left", {"list": "beta"})
