"""What customers bought, less what they gave back, and how long they stay."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.lifetime import (
    CANCELLED,
    COMPLETED,
    REFUNDED,
    Activity,
    Bought,
    OrderEvent,
    bought,
    cohorts,
    lifetime_value,
    month_name,
    month_of,
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def events(*told: tuple[str, dict[str, Any]]) -> list[OrderEvent]:
    return [OrderEvent(str(number), event, properties) for number, (event, properties) in enumerate(told)]


def order(order_id: str | None, total: object, currency: str | None = "CZK") -> tuple[str, dict[str, Any]]:
    return COMPLETED, {"order_id": order_id, "total": total, "currency": currency}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([order("1", 100), order("2", "50.50")], {"CZK": (2, Decimal("150.50"))}),
        ([order("1", 100), order("1", 100)], {"CZK": (1, Decimal(100))}),
        ([order(None, 100), order(None, 100)], {"CZK": (2, Decimal(200))}),
        ([order("1", 100), order("2", 5, "EUR"), order("3", 1, None)], {
            "CZK": (1, Decimal(100)), "EUR": (1, Decimal(5)), "unknown": (1, Decimal(1))}),
        ([order("1", 100), (REFUNDED, {"order_id": "1", "total": 30})], {"CZK": (1, Decimal(70))}),
        ([order("1", 100), (REFUNDED, {"order_id": "1", "total": -30})], {"CZK": (1, Decimal(70))}),
        ([(REFUNDED, {"order_id": "1", "total": 30}), order("1", 100)], {"CZK": (1, Decimal(70))}),
        ([order("1", 100), *[(REFUNDED, {"order_id": "1", "total": 70})] * 2], {}),
        ([order("1", 100), (REFUNDED, {"order_id": "1"})], {}),
        ([order("1", 100), (CANCELLED, {"order_id": "1", "total": 1})], {}),
        ([order("1", 100), (CANCELLED, {"order_id": "2"}), (REFUNDED, {})], {"CZK": (1, Decimal(100))}),
        ([order("1", 0), order("2", "free")], {"CZK": (2, Decimal(0))}),
        ([], {}),
    ],
)  # fmt: skip
def test_orders_less_what_was_given_back(
    told: list[tuple[str, dict[str, Any]]], expected: dict[str, tuple[int, Decimal]]
) -> None:
    assert bought(events(*told)).by_currency == expected


amounts = st.decimals(min_value=0, max_value=10**6, places=2)


@given(st.lists(st.tuples(st.sampled_from("123"), amounts)), st.lists(st.tuples(st.sampled_from("1234"), amounts)))
def test_never_more_is_given_back_than_was_bought(
    sold: list[tuple[str, Decimal]], back: list[tuple[str, Decimal]]
) -> None:
    told = [order(key, str(amount)) for key, amount in sold]
    told += [(REFUNDED, {"order_id": key, "total": str(amount)}) for key, amount in back]
    first = dict(reversed(sold))
    kept = {
        key: max(amount - sum(taken for other, taken in back if other == key), Decimal(0))
        for key, amount in first.items()
    }
    count, total = bought(events(*told)).by_currency.get("CZK", (0, Decimal(0)))
    assert total == sum(kept.values())
    assert count == sum(1 for key, amount in first.items() if kept[key] or not amount)


def test_those_who_bought_nothing_count_in_mean_and_median() -> None:
    people = [
        Bought({"CZK": (2, Decimal(300))}),
        Bought({"CZK": (1, Decimal(100)), "EUR": (1, Decimal(9))}),
        Bought(),
    ]
    assert lifetime_value(people) == [
        {
            "currency": "CZK",
            "customers": 2,
            "orders": 3,
            "revenue": 400,
            "average_order_value": 133.3333,
            "mean": 133.3333,
            "median": 100.0,
        },
        {
            "currency": "EUR",
            "customers": 1,
            "orders": 1,
            "revenue": 9,
            "average_order_value": 9.0,
            "mean": 3.0,
            "median": 0.0,
        },
    ]
    assert lifetime_value([]) == []


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_months_are_calendar_months(moment: datetime) -> None:
    month = month_of(int(moment.replace(tzinfo=UTC).timestamp() * 1000))
    assert month_name(month) == moment.strftime("%Y-%m")


def test_cohorts_are_followed_up_to_now() -> None:
    january, february = month_of(at("2026-01-05")), month_of(at("2026-02-05"))
    members = [
        Activity(at("2026-01-31T23:59:59"), frozenset({january, february})),
        Activity(at("2026-01-01"), frozenset()),
        Activity(at("2026-02-01"), frozenset({february + 1})),
        Activity(None, frozenset({january})),
    ]
    first, second = cohorts(members, at("2026-03-10"), 12)
    assert (first["month"], first["members"]) == ("2026-01", 2)
    assert [one["share"] for one in first["retention"]] == [0.5, 0.5, 0.0]
    assert [(one["month"], one["active"], one["share"]) for one in second["retention"]] == [
        (0, 0, 0.0),
        (1, 1, 1.0),
    ]
    assert [len(one["retention"]) for one in cohorts(members, at("2026-03-10"), 1)] == [2, 2]
    # a segmenter whose clock is ahead of ours
    assert [len(one["retention"]) for one in cohorts(members, at("2026-01-10"), 12)] == [1, 1]
