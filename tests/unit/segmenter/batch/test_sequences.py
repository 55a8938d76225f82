"""Steps in order, what followed in time, and what did not."""

from typing import Any

from tests.unit.segmenter.batch.person import HOUR, Person, holds

T = 10_000_000


def sequence(*steps: Any, **more: Any) -> dict[str, Any]:
    listed = [{"event": step} if isinstance(step, str) else step for step in steps]
    return {"sequence": {"steps": listed, **more}}


def did(*events: tuple[str, int], **fields: Any) -> Person:
    person = Person()
    for name, at in events:
        person.did(name, T + at, **fields)
    return person


LATER = T + 999 * HOUR


def test_steps_happen_in_order() -> None:
    assert holds(sequence("A", "B"), did(("A", 0), ("B", 1)), LATER)
    assert not holds(sequence("A", "B"), did(("B", 0), ("A", 1)), LATER)
    assert holds(sequence("A", "B"), did(("B", 5), ("A", 3)), LATER)  # the earlier one arrived late
    assert holds(sequence("A", "B", "C"), did(("A", 0), ("X", 1), ("B", 2), ("A", 3), ("C", 4)), LATER)
    assert not holds(sequence("A", "B", "C"), did(("A", 0), ("C", 1), ("B", 2)), LATER)


def test_one_event_is_one_step() -> None:
    assert not holds(sequence("A", "A"), did(("A", 0)), LATER)
    assert holds(sequence("A", "A"), did(("A", 0), ("A", 0)), LATER)  # at one instant, by messageId
    assert not holds(sequence("B", "A"), did(("A", 0), ("B", 0)), LATER)


def test_a_step_is_less_than_its_time_behind_some_step_before() -> None:
    steps = sequence("A", {"event": "B", "within": "1h"})
    assert holds(steps, did(("A", 0), ("B", HOUR - 1)), LATER)
    assert not holds(steps, did(("A", 0), ("B", HOUR)), LATER)
    assert holds(steps, did(("A", 0), ("A", 5), ("B", HOUR)), LATER)
    chain = sequence("A", {"event": "B", "within": "1h"}, {"event": "C", "within": "1h"})
    assert holds(chain, did(("A", 0), ("B", 1), ("B", HOUR - 1), ("C", HOUR + 1)), LATER)
    assert not holds(chain, did(("A", 0), ("B", 1), ("B", HOUR), ("C", HOUR + 1)), LATER)


def test_then_is_one_more_step() -> None:
    then = sequence("A", then={"event": "B", "within": "1h"})
    assert not holds(then, did(("A", 0)), LATER)
    assert holds(then, did(("A", 0), ("B", HOUR - 1)), T)
    assert not holds(then, did(("A", 0), ("B", HOUR)), LATER)


def test_a_completion_expires() -> None:
    once = did(("A", 0), ("B", 10))
    expiring = sequence("A", "B", expires="1h")
    assert holds(expiring, once, T + 10 + HOUR - 1)
    assert not holds(expiring, once, T + 10 + HOUR)
    assert holds(expiring, once.did("B", T + 20), T + 10 + HOUR)
    then = sequence("A", then={"event": "B", "within": "1h"}, expires="1h")
    assert holds(then, once, T + 20 + HOUR - 1)
    assert not holds(then, once, T + 20 + HOUR)


ABANDONED = sequence("Add", then_not={"event": "Order", "within": "1h"})


def test_what_did_not_follow_counts_from_the_due_instant_on() -> None:
    person = did(("Add", 0))
    assert not holds(ABANDONED, person, T + HOUR - 1)
    assert holds(ABANDONED, person, T + HOUR)
    assert holds(ABANDONED, person, LATER)


def test_what_follows_ends_it_before_and_after_it_was_due() -> None:
    for at in (1, HOUR - 1, HOUR, 5 * HOUR):
        person = did(("Add", 0), ("Order", at))
        assert not holds(ABANDONED, person, LATER)
    assert holds(ABANDONED, did(("Order", -1), ("Add", 0)), LATER)


def test_a_repeated_last_step_starts_the_time_again() -> None:
    person = did(("Add", 0), ("Add", HOUR - 1))
    assert not holds(ABANDONED, person, T + HOUR)
    assert not holds(ABANDONED, person, T + 2 * HOUR - 2)
    assert holds(ABANDONED, person, T + 2 * HOUR - 1)
    again = did(("Add", 0), ("Order", 10), ("Add", 20))
    assert holds(ABANDONED, again, T + 20 + HOUR)


def test_what_did_not_follow_expires_from_the_last_step() -> None:
    expiring = sequence("Add", then_not={"event": "Order", "within": "1h"}, expires="3h")
    person = did(("Add", 0))
    assert holds(expiring, person, T + 3 * HOUR - 1)
    assert not holds(expiring, person, T + 3 * HOUR)


def test_an_event_that_may_be_both_starts_the_time_and_does_not_end_it() -> None:
    both = sequence("Add", then_not={"event": ["Add", "Order"], "within": "1h"})
    assert holds(both, did(("Add", 0), ("Add", 1)), T + 1 + HOUR)


def test_filters_of_steps_and_of_what_must_not_follow() -> None:
    blue = [{"path": "properties.color", "eq": "blue"}]
    condition = sequence({"event": "A", "where": blue}, then_not={"event": "B", "where": blue, "within": "1h"})
    person = did(("A", 0), properties={"color": "blue"}).did("B", T + 1, properties={"color": "red"})
    assert holds(condition, person, T + HOUR)
    assert not holds(condition, person.did("B", T + 2, properties={"color": "blue"}), T + HOUR)
    assert not holds(condition, did(("A", 0)), T + HOUR)


def test_each_value_is_a_run_of_its_own_and_one_is_enough() -> None:
    by_cart = sequence("Add", then_not={"event": "Order", "within": "1h"}, by="properties.cart_id")
    person = did(("Add", 0), properties={"cart_id": 1}).did("Add", T + 5, properties={"cart_id": 2})
    person.did("Order", T + 9, properties={"cart_id": 1.0})
    assert not holds(by_cart, person, T + HOUR)
    assert holds(by_cart, person, T + 5 + HOUR)
    person.did("Order", T + 10)  # on no cart: it ends none
    assert holds(by_cart, person, T + 5 + HOUR)
    person.did("Order", T + 11, properties={"cart_id": "2"})  # another cart
    assert holds(by_cart, person, T + 5 + HOUR)
    person.did("Order", T + 12, properties={"cart_id": 2})
    assert not holds(by_cart, person, T + 5 + HOUR)


def test_values_do_not_mix_and_a_missing_one_never_matches() -> None:
    by = sequence("A", "B", by="properties.k")
    assert not holds(by, did(("A", 0), ("B", 1)), LATER)
    pairs = ((1, 1.0, True), (1, True, False), (1, "1", False), (None, None, False), ({"a": 1}, {"a": 1}, False))
    for one, other, expected in pairs:
        person = did(("A", 0), properties={"k": one}).did("B", T + 1, properties={"k": other})
        assert holds(by, person, LATER) is expected


def test_every_value_under_the_path_has_its_run() -> None:
    by = sequence("A", "B", by="properties.products[].sku")
    person = did(("A", 0), properties={"products": [{"sku": "x"}, {"sku": "y"}]})
    assert not holds(by, did(("B", 1), properties={"products": [{"sku": "y"}]}), LATER)
    assert holds(by, person.did("B", T + 1, properties={"products": [{"sku": "z"}, {"sku": "y"}]}), LATER)


def test_an_event_that_is_known_counts_before_its_instant() -> None:
    assert holds(sequence("A", "B"), did(("A", 10), ("B", 20)), T)
