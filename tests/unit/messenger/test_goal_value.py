"""What an event was worth, whatever a shop puts into it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.goal_value import order_value

TOTAL = "properties.total"
amounts = st.decimals(min_value=-(10**14), max_value=10**14, places=2)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["total", "revenue", "value", "currency", "x"]), anything))
def test_whatever_is_sent_gives_an_amount_that_can_be_added_or_none(properties: dict[str, Any]) -> None:
    value, currency = order_value(properties, TOTAL)
    assert value is None or (value.is_finite() and abs(value) < 10**15)
    assert currency is None or (len(currency) == 3 and currency == currency.upper())


@given(amounts, st.booleans())
def test_an_amount_is_exact_as_number_and_as_text(amount: Decimal, as_text: bool) -> None:
    sent = json.loads(json.dumps({"total": str(amount)} if as_text else {"total": float(amount)}))
    value, _ = order_value(sent, TOTAL)
    # what JSON's reader made of a number is all that there is of it
    assert value == (amount if as_text else Decimal(str(float(amount))))


@given(amounts, amounts, amounts)
def test_the_path_comes_before_revenue_and_revenue_before_value(
    one: Decimal, two: Decimal, three: Decimal
) -> None:
    sent = {"order": {"net": str(one)}, "revenue": str(two), "value": str(three)}
    assert order_value(sent, "properties.order.net")[0] == one
    assert order_value(sent, TOTAL)[0] == two
    assert order_value({"value": str(three)}, TOTAL)[0] == three


@pytest.mark.parametrize(
    "bad",
    [
        None,
        True,
        "",
        "twelve",
        "1,5",
        [],
        {},
        "NaN",
        "Infinity",
        float("inf"),
        10**15,
        "1e400",
        "1e-999999",
    ],
)
def test_what_is_no_amount_is_passed_over(bad: Any) -> None:
    passed_over(bad)


def test_a_number_too_long_to_be_written_is_passed_over() -> None:
    passed_over(10**5000)


def passed_over(bad: Any) -> None:
    assert order_value({"total": bad}, TOTAL) == (None, None)
    assert order_value({"total": bad, "revenue": 5}, TOTAL) == (Decimal(5), None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("CZK", "CZK"), ("eur", "EUR"), ("Kč", None), ("EURO", None), (5, None), ("ččč", None), ("ßaa", None)],
)
def test_a_currency_has_three_letters(sent: Any, expected: str | None) -> None:
    assert order_value({"total": 1, "currency": sent}, TOTAL)[1] == expected
