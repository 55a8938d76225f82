"""Each shipped computed trait comes to what a small history says, in both evaluators."""

from decimal import Decimal
from typing import Any

import pytest

from headrace.cli.shipped import example
from headrace.contracts.documents import load_document
from headrace.contracts.instant import format_instant
from headrace.contracts.trait import TraitDefinition, parse_trait
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.compiler import compile_plan
from services.segmenter.fold import Clock, Fold
from services.segmenter.paths import decode_json
from tests.unit.segmenter.batch.person import DAY, HOUR, SECOND, Person, instant

NOW = instant("2026-11-27T12:00:00Z")  # a Friday
TRAITS = {
    trait.id: trait
    for file in sorted(example("traits").glob("*.yaml"))
    for trait in [parse_trait(load_document(file.read_text(encoding="utf-8")))]
}
_PRAGUE = {"timezone": "Europe/Prague"}


def product(category: str, brand: str, price: float) -> dict[str, Any]:
    return {"category": category, "brand": brand, "price": price}


def history() -> Person:
    """Two orders on Thursdays and one on a Monday, a visit of three pages and one of a single one."""
    shampoo, oil = product("hair", "Lumo", 12.5), product("beard", "Lumo", 30)
    soap = product("hair", "Rosa", 4.9)
    return (
        Person()
        .did("Order Completed", NOW - 29 * DAY, properties={"total": 42.5, "products": [shampoo, oil]})
        .did("Order Completed", NOW - 11 * DAY, properties={"total": 4.9, "products": [soap]})
        .did("Order Completed", NOW - 8 * DAY, properties={"total": 12.6, "products": [shampoo]}, context=_PRAGUE)
        .did(None, NOW - 2 * HOUR, type="page")
        .did(None, NOW - 2 * HOUR + 600 * SECOND, type="page")
        .did(None, NOW - 2 * HOUR + 1_500 * SECOND, type="screen")
        .did(None, NOW - HOUR, type="page")
    )


EXPECTED = {
    "order_count": 3,
    "total_spent": 60,
    "average_order_value": 20,
    "last_order_at": format_instant(NOW - 8 * DAY),
    "days_since_last_order": 8,
    "favourite_category": "hair",
    "favourite_brand": "Lumo",
    "favourite_weekday": "thu",
    "usual_price_range": [Decimal("4.9"), Decimal("12.5")],
    "session_count": 5,
    "session_length": 300,
    "session_pages": Decimal("0.8"),
}


def test_all_of_them_are_shipped() -> None:
    assert TRAITS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("trait", TRAITS.values(), ids=TRAITS.keys())
def test_the_batch_evaluator_computes_it(trait: TraitDefinition) -> None:
    assert Evaluator({}).value(trait, history().subject, NOW) == EXPECTED[trait.id]


@pytest.mark.parametrize("trait", TRAITS.values(), ids=TRAITS.keys())
def test_the_fold_publishes_it(trait: TraitDefinition) -> None:
    fold = Fold(compile_plan([(trait, 1)]), {}, Clock())
    for row in history().own:
        assert fold.advance(row.low)
        fold.apply(row)
    fold.advance(NOW)
    last = fold.computations[-1]
    assert last.value is not None
    assert decode_json(last.value) == EXPECTED[trait.id]
