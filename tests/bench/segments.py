"""Segment definitions as a shop would have them, any number: each asks for another name, value or threshold."""

from collections.abc import Sequence
from typing import Any

from tests.bench.workload import BRANDS, CATEGORIES, CITIES, EVENTS, PLANS

_NAMES: Sequence[str] = tuple(EVENTS)
_WINDOWS: Sequence[str] = ("1h", "1d", "3d", "7d", "14d", "30d")


def definitions(count: int) -> list[dict[str, Any]]:
    """Fifteen kinds in turn: ten of counts, windows, sums, traits, negations and combinations, then those that
    look at a customer as a whole."""
    kinds = len(_KINDS)
    return [_segment(f"segment-{number}", _KINDS[number % kinds](number // kinds)) for number in range(count)]


def ten_touched(count: int) -> list[dict[str, Any]]:
    """Ten segments that nearly every track event touches, and `count` - 10 that nothing in the shop does: other
    names, other values of the same fields, thresholds out of reach, traits that nobody has, sequences by other
    names."""
    touched = [_segment(f"touched-{number}", when) for number, when in enumerate(_TOUCHED)]
    others = [
        _segment(f"other-{number}", _UNTOUCHED[number % len(_UNTOUCHED)](number)) for number in range(count - 10)
    ]
    return touched + others


def _segment(key: str, when: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "segment", "id": key, "name": key.replace("-", " ").capitalize(), "when": when}


def _category(n: int) -> dict[str, Any]:
    return {"path": "properties.category", "eq": CATEGORIES[n % len(CATEGORIES)]}


def _brand(n: int) -> dict[str, Any]:
    return {"path": "properties.brand", "in": [BRANDS[n % len(BRANDS)], BRANDS[(n + 7) % len(BRANDS)]]}


def _event(name: str | list[str], **more: Any) -> dict[str, Any]:
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


def _abandoned(n: int) -> dict[str, Any]:
    following = {"event": "Order Completed", "within": _window(n)}
    steps = [{"event": "Product Added", "where": [_category(n)]}]
    return {"sequence": {"steps": steps, "then_not": following, "by": "properties.brand", "expires": "60d"}}


def _curious(n: int) -> dict[str, Any]:
    distinct = {"of": "properties.category", "gte": 3 + n % 20}
    return _event("Product Viewed", where=[_brand(n)], distinct=distinct, within=_window(n))


def _dear(n: int) -> dict[str, Any]:
    return _event(
        "Product Added", max={"of": "properties.price", "gte": 1_000 + 10 * (n % 100)}, within=_window(n)
    )


def _faithful(n: int) -> dict[str, Any]:
    return {"held": {"for": _window(n), "condition": {"trait": {"name": "plan", "eq": PLANS[n % len(PLANS)]}}}}


def _both(n: int) -> dict[str, Any]:
    return {"all": [{"segment": {"id": f"segment-{n * len(_KINDS) + 2}"}}, _lives_in(n)]}


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
    _abandoned,
    _curious,
    _dear,
    _faithful,
    _both,
)


_TOUCHED: Sequence[dict[str, Any]] = (
    _event(list(_NAMES), count={"gte": 5}),
    _event(list(_NAMES), count={"gte": 50}),
    _event(list(_NAMES), count={"gte": 3}, within="1h"),
    _event(list(_NAMES), count={"gte": 10}, within="1d"),
    _event(list(_NAMES), count={"gte": 20}, within="7d"),
    _event(list(_NAMES), where=[{"path": "properties.price", "gte": 0}], count={"gte": 20}),
    _event(list(_NAMES), where=[{"path": "properties.currency", "eq": "CZK"}], count={"gte": 30}),
    _event(list(_NAMES), sum={"of": "properties.price", "gte": 20_000}),
    _event(list(_NAMES), sum={"of": "properties.quantity", "gte": 100}),
    {"all": [_event(list(_NAMES), count={"gte": 8}), {"not": _event(list(_NAMES), count={"gte": 80})}]},
)


def _other_name(n: int) -> dict[str, Any]:
    return _event(f"Event {n}", count={"gte": 2 + n % 5}, within=_window(n))


def _other_value(n: int) -> dict[str, Any]:
    where = [{"path": "properties.category", "eq": f"category-{1_000 + n}"}]
    return _event("Product Viewed", where=where, count={"gte": 3}, within=_window(n))


def _other_price(n: int) -> dict[str, Any]:
    return _event("Product Viewed", where=[{"path": "properties.price", "gte": 10_000 + n}])


def _out_of_reach(n: int) -> dict[str, Any]:
    return _event(list(_NAMES), count={"gte": 1_000_000 + n})


def _out_of_reach_sum(n: int) -> dict[str, Any]:
    return _event(list(_NAMES), sum={"of": "properties.price", "gte": 1_000_000_000 + n})


def _other_trait(n: int) -> dict[str, Any]:
    return {"trait": {"name": f"trait_{n}", "eq": n}}


def _other_town(n: int) -> dict[str, Any]:
    return {"trait": {"name": "city", "eq": f"village-{n}"}}


def _other_sequence(n: int) -> dict[str, Any]:
    following = {"event": f"Event {n + 1}", "within": _window(n)}
    return {"sequence": {"steps": [{"event": f"Event {n}"}], "then_not": following, "by": "properties.cart_id"}}


def _other_most(n: int) -> dict[str, Any]:
    return _event(f"Event {n}", max={"of": "properties.price", "gte": n}, within=_window(n))


def _other_held(n: int) -> dict[str, Any]:
    return {"held": {"for": _window(n), "condition": _other_trait(n)}}


_UNTOUCHED = (
    _other_name,
    _other_value,
    _other_price,
    _out_of_reach,
    _out_of_reach_sum,
    _other_trait,
    _other_town,
    _other_sequence,
    _other_most,
    _other_held,
)
