"""Rows become messages exactly as the mapping says, or are rejected with the place and the reason."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import InvalidDefinition
from headrace.importing.builder import Builder
from headrace.importing.outcome import Outgoing, Rejection
from tests.unit.importing.shop import HEADER, builder, mapping, rows

GOOD = "R1,A,2,9.90,24.12.2025 18:30,17850.0"


def message(*lines: str, **changes: Any) -> dict[str, Any]:
    (outcome,) = builder(**changes).build(rows(*lines))
    assert isinstance(outcome, Outgoing), outcome
    body: dict[str, Any] = json.loads(outcome.body, parse_float=Decimal)
    return body


def rejection(*lines: str, **changes: Any) -> Rejection:
    (outcome,) = builder(**changes).build(rows(*lines))
    assert isinstance(outcome, Rejection), outcome
    return outcome


def test_a_receipt_is_one_order_with_its_lines_as_products() -> None:
    assert message(GOOD, "R1,B,1,0.10,24.12.2025 18:31,17850.0") == {
        "type": "track",
        "messageId": "receipt:R1",
        "userId": "17850",
        "timestamp": "2025-12-24T17:30:00.000Z",
        "event": "Order Completed",
        "properties": {
            "total": Decimal("19.90"),
            "lines": 2,
            "products": [
                {"sku": "A", "quantity": 2, "price": Decimal("9.90")},
                {"sku": "B", "quantity": 1, "price": Decimal("0.10")},
            ],
        },
    }


def test_a_receipt_without_customer_is_anonymous() -> None:
    got = message("R7,A,1,1,24.12.2025 18:30,")
    assert got["anonymousId"] == "receipt:R7"
    assert "userId" not in got


def test_variants_apply_together() -> None:
    got = message("C7,A,-2,1.50,24.12.2025 18:30,")
    assert (got["event"], got["anonymousId"]) == ("Order Refunded", "receipt:C7")
    assert got["properties"]["total"] == Decimal("-3.00")


def test_an_empty_cell_leaves_its_field_out() -> None:
    assert message("R1,,2,9.90,24.12.2025 18:30,1")["properties"]["products"] == [
        {"quantity": 2, "price": Decimal("9.90")}
    ]


def test_dotted_names_nest() -> None:
    changed = mapping().message.model_dump(by_alias=True) | {
        "context": {"device.type": {"value": "till"}, "device.name": "till {Sku}"}
    }
    assert message(GOOD, message=changed)["context"] == {"device": {"type": "till", "name": "till A"}}


def test_an_external_id_is_identity_enough() -> None:
    changed = mapping().message.model_dump(by_alias=True) | {
        "user_id": None,
        "external_ids": [{"type": "loyalty_card", "id": "card-{Customer}"}],
    }
    assert message(GOOD, message=changed)["context"]["externalIds"] == [
        {"id": "card-17850", "type": "loyalty_card", "collection": "users", "encoding": "none"}
    ]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("R1,A,2,9.90,24.12.2025 18:30", "", "has 5 cells"),
        ('R1,A,2,"9,90",24.12.2025 18:30,1', "", "has 7 cells"),
        ("R1,A,2,9;90,24.12.2025 18:30,1", "Price", "is no number"),
        ("R1,A,2,1e9,24.12.2025 18:30,1", "Price", "is no number"),
        ("R1,A,2,NaN,24.12.2025 18:30,1", "Price", "is no number"),
        ("R1,A,2,١,24.12.2025 18:30,1", "Price", "is no number"),
        ("R1,A,1_0,1,24.12.2025 18:30,1", "Qty", "is no number"),
        ("R1,A,1.5,1,24.12.2025 18:30,1", "Qty", "is no whole number"),
        ("R1,A,2,9.90,30.02.2025 18:30,1", "When", "is no time of the format"),
        ("R1,A,2,9.90,,1", "When", "is no time of the format"),
        (",A,2,9.90,24.12.2025 18:30,1", "Receipt", "is empty"),
    ],
)
def test_a_bad_cell_rejects_the_receipt_and_names_the_place(line: str, column: str, reason: str) -> None:
    got = rejection(line)
    assert (got.line, got.column) == (2, column)
    assert reason in got.reason


def test_the_line_of_the_bad_cell_is_named_and_all_rows_count() -> None:
    got = rejection(GOOD, "R1,B,x,1,24.12.2025 18:30,17850.0")
    assert (got.line, got.column, got.rows) == (3, "Qty", 2)


def test_a_receipt_of_two_customers_is_rejected() -> None:
    got = rejection(GOOD, "R1,B,1,1,24.12.2025 18:30,99")
    assert (got.line, got.column) == (3, "Customer")
    assert "differs from the first line" in got.reason


def test_no_identifier_at_all_is_rejected() -> None:
    assert rejection("R1,A,1,1,24.12.2025 18:30,", variants=[]).reason == "no identifier: all are empty"


def test_a_message_id_used_twice_in_the_file_is_rejected_not_lost() -> None:
    single = builder(group_by=None)
    (first,) = single.build(rows(GOOD))
    assert isinstance(first, Outgoing)
    (second,) = single.build(rows(GOOD))
    assert isinstance(second, Rejection)
    assert second.message_id == "receipt:R1"


def test_a_missing_column_is_told_before_anything_is_read() -> None:
    with pytest.raises(InvalidDefinition, match="Qty: is no column of the file"):
        Builder(mapping(), [name for name in HEADER if name != "Qty"])


def test_a_missing_column_of_a_variant_is_told_too() -> None:
    variants = [{"when": {"column": "Sku", "equals": "x"}, "set": {"user_id": "{Card}"}}]
    with pytest.raises(InvalidDefinition, match="Card: is no column"):
        builder(variants=variants)


def test_a_header_with_one_name_twice_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="Sku: stands twice"):
        Builder(mapping(), [*HEADER, "Sku"])


_amounts = st.decimals(min_value=-(10**6), max_value=10**6, places=3)


@given(st.lists(st.tuples(st.integers(-999, 999), _amounts), min_size=1, max_size=50))
def test_totals_are_exact(lines: list[tuple[int, Decimal]]) -> None:
    got = message(*(f"R1,A,{qty},{price},24.12.2025 18:30,1" for qty, price in lines))
    assert got["properties"]["total"] == sum((qty * price for qty, price in lines), Decimal(0))
