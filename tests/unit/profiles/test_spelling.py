"""Reserved traits have two names; the rest has one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.profiles.spelling import other_spelling, spelled

NAMES = st.sampled_from(["firstName", "first_name", "lastName", "last_name", "city"])
TRAITS = st.dictionaries(NAMES, st.integers(0, 3))


@given(TRAITS)
def test_both_adds_names_and_changes_nothing_that_was_sent(traits: dict[str, Any]) -> None:
    found = spelled(traits, {}, "both")
    assert found.items() >= traits.items()
    assert ("firstName" in found) == ("first_name" in found)
    assert spelled(found, {}, "both") == found
    assert spelled(traits, {}, "sent") == traits


@given(TRAITS, st.dictionaries(NAMES, st.lists(st.integers(0, 2), min_size=1, max_size=1)))
def test_one_spelling_has_no_other_and_takes_what_was_written_last(
    traits: dict[str, Any], times: dict[str, Any]
) -> None:
    times = {name: times.get(name, [0]) for name in traits}
    camel, snake = spelled(traits, times, "camel"), spelled(traits, times, "snake")
    assert not {"first_name", "last_name"} & camel.keys()
    assert not {"firstName", "lastName"} & snake.keys()
    assert camel.get("city") == snake.get("city") == traits.get("city")
    if {"firstName", "first_name"} <= traits.keys() and times["firstName"] != times["first_name"]:
        latest = max(("firstName", "first_name"), key=lambda name: times[name])
        assert camel["firstName"] == snake["first_name"] == traits[latest]


def test_inside_of_addresses_and_companies_too_where_they_are_objects() -> None:
    sent = {"address": {"postalCode": "602 00"}, "company": "Acme"}
    assert spelled(sent, {}, "snake") == {"address": {"postal_code": "602 00"}, "company": "Acme"}
    both = spelled(sent, {}, "both")
    assert both["address"] == {"postalCode": "602 00", "postal_code": "602 00"}
    assert sent == {"address": {"postalCode": "602 00"}, "company": "Acme"}, "what is stored is not written into"


def test_the_other_name_of_a_trait() -> None:
    assert other_spelling(("firstName",)) == ("first_name",)
    assert other_spelling(("address", "postal_code")) == ("address", "postalCode")
    assert other_spelling(("postal_code",)) is None
