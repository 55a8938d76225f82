"""Segment definitions as a shop would have them, any number: each asks for another name, value or threshold."""

from collections.abc import Sequence
from typing import Any

from tests.bench.workload import BRANDS, CATEGORIES, CITIES, EVENTS, PLANS

_NAMES: Sequence[str] = tuple(EVENTS)
_WINDOWS: Sequence[str] = ("1h", "1d", "3d", "7d", "14d", "30d")


def definitions(count: int) -> list[dict[str, Any]]:
    """Ten kinds in turn: counts, windows, sums, traits, negations and combinations."""
    return [
        {"kind": "segment", "id": f"segment-{number}", "name": f"Segment {number}", "when": _KINDS[number % 10](n)}
        for number in range(count)
        for n in (number // 10,)
    ]


def _category(n: int) -> dict[str, Any]:
    return {"path": "properties.category", "eq": CATEGORIES[n % len(CATEGORIES)]}


def _brand(n: int) -> dict[str, Any]:
    return {"path": "properties.brand", "in": [BRANDS[n % len(BRANDS)], BRANDS[(n + 7) % len(BRANDS)]]}


def _event(name: str, **more: Any) -> dict[str, Any]:
    return {"event": {"name": name, **more}}


def _window(n: int) -> str:
    return _WINDOWS[n % len(_WINDOWS)]


def _interested(n: int) -> dict[str, Any]:
    return _event("Product Viewed", where=[_category(n)], count={"gte": 2 + n % 5})


def _interested_lately(n: int) -> dict[str, Any]:
    return _event("Product Viewed", where=[_brand(n)], count={"gte": 3}, within=_window(n))


def _busy(n: int) -> dict[str, Any]:
    return _event(_NAMES[n % len(_NAMES)], count={"between": [2 + n % 7, 10 + n]})


def _spent(n: int) -> dict[str, Any]:
    return _event("Order Completed", sum={"of": "properties.total", "gte": 500 * (1 + n)})


def _spent_lately(n: int) -> dict[str, Any]:
    where = [{"path": "properties.products[].category", "eq": CATEGORIES[n % len(CATEGORIES)]}]
    return _event("Order Completed", where=where, sum={"of": "properties.total", "gte": 1_000}, within=_window(n))


def _lives_in(n: int) -> dict[str, Any]:
    return {"trait": {"name": "city", "in": [CITIES[n % len(CITIES)], CITIES[(n + 13) % len(CITIES)]]}}


def _of_age(n: int) -> dict[str, Any]:
    plan = {"trait": {"name": "plan", "eq": PLANS[n % len(PLANS)]}}
    return {"all": [{"trait": {"name": "age", "gte": 18 + n % 50}}, plan]}


def _left_the_cart(n: int) -> dict[str, Any]:
    bought = _event("Order Completed", within=_window(n))
    return {"all": [_event("Product Added", where=[_category(n)], within=_window(n)), {"not": bought}]}


def _lapsed(n: int) -> dict[str, Any]:
    return {"all": [_busy(n), {"not": _event(_NAMES[n % len(_NAMES)], within=_window(n))}]}


def _either(n: int) -> dict[str, Any]:
    cheap = {"path": "properties.price", "lt": 10 * (1 + n)}
    return {"any": [_event("Product Added", where=[cheap, _brand(n)]), _lives_in(n + 1)]}


_KINDS = (
    _interested,
    _interested_lately,
    _busy,
    _spent,
    _spent_lately,
    _lives_in,
    _of_age,
    _left_the_cart,
    _lapsed,
    _either,
)
