"""Twelve segments of the retail file's buyers, each beside the count of plain Python that says who is in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.e2e.retail_orders import Buyer, products, total

Condition = dict[str, Any]
Inside = Callable[[Buyer], bool]

ORDER, REFUND = "Order Completed", "Order Refunded"
AUTUMN = datetime(2011, 9, 20, 8, 6, tzinfo=UTC), datetime(2011, 11, 21, 16, 25, tzinfo=UTC)
"""Somebody is in by an order at the first instant, and somebody out for one at the second, which counts no more.
Summer time ends in between."""
_TOTAL, _SKU = "properties.total", "properties.products[].sku"
_COUNTRIES = ["France", "Germany", "EIRE", "Switzerland", "Cyprus", "Netherlands"]


@dataclass(frozen=True)
class Definitions:
    """The same twelve for one shop's buyers, under ids that begin with `prefix`."""

    shop: str
    prefix: str

    def id(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def documents(self) -> list[dict[str, Any]]:
        """Whoever is asked for comes before those who ask."""
        return [
            {"kind": "segment", "id": self.id(name), "name": name, "when": self._conditions()[name]}
            for name in COUNTS
        ]

    def _orders(self, *names: str, **rest: Any) -> Condition:
        """Of this shop; orders when no names are given."""
        where = [{"path": "properties.shop", "eq": self.shop}, *rest.pop("where", [])]
        return {"event": {"name": list(names) or ORDER, "where": where, **rest}}

    def _conditions(self) -> Mapping[str, Condition]:
        return {**self._aggregates(), **self._combinations()}

    def _aggregates(self) -> Mapping[str, Condition]:
        orders = self._orders
        begin, end = (instant.isoformat() for instant in AUTUMN)
        return {
            "loyal": orders(count={"gte": 5}),
            "net-spenders": orders(ORDER, REFUND, sum={"of": _TOTAL, "gte": 1500}),
            "autumn": orders(count={"gte": 2}, between={"from": begin, "to": end}),
            "wide-taste": orders(distinct={"of": _SKU, "gte": 100}),
            "one-large-order": orders(max={"of": _TOTAL, "gt": 750, "currency": "GBP"}),
            "small-baskets": {"all": [orders(avg={"of": _TOTAL, "lt": 300}), orders(min={"of": _TOTAL, "gt": 0})]},
            "returned-much": {
                "any": [
                    orders(REFUND, sum={"of": _TOTAL, "lte": -50}),
                    orders(REFUND, min={"of": "properties.products[].quantity", "lte": -24}),
                ]
            },
            "grew": {
                "all": [orders(first={"of": _TOTAL, "lt": 300}), orders(last={"of": _TOTAL, "gte": 300})],
            },
        }

    def _combinations(self) -> Mapping[str, Condition]:
        orders = self._orders
        step = {"event": ORDER, "where": [{"path": "properties.shop", "eq": self.shop}]}
        return {
            "worth-a-call": {
                "all": [
                    orders(count={"gte": 2}),
                    {
                        "any": [
                            orders(max={"of": _TOTAL, "gte": 400}),
                            {"all": [orders(distinct={"of": _SKU, "gte": 40}), {"not": orders(REFUND)}]},
                        ]
                    },
                    {
                        "not": {
                            "any": [
                                orders(REFUND, sum={"of": _TOTAL, "lt": -100}),
                                orders(where=[{"path": _SKU, "eq": "POST"}]),
                            ]
                        }
                    },
                    {"not": orders(within="52w")},
                ]
            },
            "abroad-not-loyal": {
                "all": [
                    orders(ORDER, REFUND),
                    {"trait": {"name": "country", "in": _COUNTRIES}},
                    {"segment": {"id": self.id("loyal"), "member": False}},
                ]
            },
            "soon-again": {"sequence": {"steps": [step, {**step, "within": "30d"}]}},
            "this-year": orders(within="52w"),
        }


def _small_baskets(buyer: Buyer) -> bool:
    orders = buyer.orders
    return bool(orders) and total(orders) < 300 * len(orders) and all(order.total > 0 for order in orders)


def _returned_much(buyer: Buyer) -> bool:
    by_the_dozen = any(quantity <= -24 for refund in buyer.refunds for quantity in refund.quantities)
    return total(buyer.refunds) <= -50 or by_the_dozen


def _worth_a_call(buyer: Buyer) -> bool:
    large = any(order.total >= 400 for order in buyer.orders)
    satisfied = len(products(buyer.orders)) >= 40 and not buyer.refunds
    unwanted = total(buyer.refunds) < -100 or "POST" in products(buyer.orders)
    return len(buyer.orders) >= 2 and (large or satisfied) and not unwanted


COUNTS: Mapping[str, Inside] = {
    "loyal": lambda buyer: len(buyer.orders) >= 5,
    "net-spenders": lambda buyer: total(buyer.invoices) >= 1500,
    "autumn": lambda buyer: buyer.orders_within(*AUTUMN) >= 2,
    "wide-taste": lambda buyer: len(products(buyer.orders)) >= 100,
    "one-large-order": lambda buyer: any(order.total > 750 for order in buyer.orders),
    "small-baskets": _small_baskets,
    "returned-much": _returned_much,
    "grew": lambda buyer: bool(buyer.orders) and buyer.orders[0].total < 300 <= buyer.orders[-1].total,
    "worth-a-call": _worth_a_call,
    "abroad-not-loyal": lambda buyer: buyer.country in _COUNTRIES and len(buyer.orders) < 5,
    "soon-again": lambda buyer: any(days < 30 for days in buyer.days_between_orders()),
    "this-year": lambda buyer: False,
}
"""Who is in each. Nobody has ordered within the last year: the file ends in 2011."""


def expected(buyers: Mapping[str, Buyer]) -> dict[str, list[str]]:
    """The names of each segment's members, ascending."""
    return {
        segment: sorted(name for name, buyer in buyers.items() if inside(buyer))
        for segment, inside in COUNTS.items()
    }
