"""What customers bought in all, and when they were last seen: the arithmetic of a segment's report. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median
from typing import Any

from headrace.contracts.instant import Millis
from services.messenger.goal_value import order_value
from services.messenger.report_figures import number, rate

COMPLETED, REFUNDED, CANCELLED = "Order Completed", "Order Refunded", "Order Cancelled"
ORDER_EVENTS = (COMPLETED, REFUNDED, CANCELLED)
_VALUE = "properties.total"


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An event about an order. `id` is unique: it stands for the order where the event names none."""

    id: str
    event: str
    properties: Mapping[str, Any]


@dataclass(slots=True)
class _Order:
    value: Decimal
    currency: str | None
    back: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        return self.value - min(self.back, self.value) if self.value > 0 else self.value


@dataclass(slots=True)
class Bought:
    """One customer's orders that stand, by currency: (how many, their value). `unknown` where none was told."""

    by_currency: dict[str, tuple[int, Decimal]] = field(default_factory=dict)


def bought(events: Iterable[OrderEvent]) -> Bought:
    """One customer's orders, less what was given back. An order that is told twice counts once. A refund without
    an amount, and a cancellation, take back the whole order; never more than it was. One of an order that is not
    known takes nothing. What was given back in full is no order any more."""
    orders: dict[str, _Order] = {}
    gone: list[OrderEvent] = []
    for event in events:
        if event.event == COMPLETED:
            value, currency = order_value(event.properties, _VALUE)
            orders.setdefault(_order_id(event), _Order(value or Decimal(0), currency))
        else:
            gone.append(event)
    cancelled = {_order_id(event) for event in gone if _takes_all(event)}
    for event in gone:
        if (order := orders.get(_order_id(event))) is not None and not _takes_all(event):
            order.back += abs(order_value(event.properties, _VALUE)[0] or Decimal(0))
    sums: dict[str, tuple[int, Decimal]] = {}
    for key, order in orders.items():
        if key in cancelled or (order.value > 0 and not order.net):
            continue
        count, total = sums.get(order.currency or "unknown", (0, Decimal(0)))
        sums[order.currency or "unknown"] = (count + 1, total + order.net)
    return Bought(sums)


def _order_id(event: OrderEvent) -> str:
    named = event.properties.get("order_id")
    usable = isinstance(named, str | int) and not isinstance(named, bool) and named != ""
    return f"order {named}" if usable else f"event {event.id}"


def _takes_all(event: OrderEvent) -> bool:
    return event.event == CANCELLED or order_value(event.properties, _VALUE)[0] is None


def lifetime_value(people: Sequence[Bought]) -> list[dict[str, Any]]:
    """By currency, of all these people: those who bought nothing count with 0."""
    currencies = sorted({currency for one in people for currency in one.by_currency})
    return [_of_currency(currency, people) for currency in currencies]


def _of_currency(currency: str, people: Sequence[Bought]) -> dict[str, Any]:
    amounts = [one.by_currency.get(currency, (0, Decimal(0))) for one in people]
    total = sum((amount for _, amount in amounts), Decimal(0))
    orders = sum(count for count, _ in amounts)
    return {
        "currency": currency,
        "customers": sum(count > 0 for count, _ in amounts),
        "orders": orders,
        "revenue": number(total),
        "average_order_value": _cents(total / orders) if orders else None,
        "mean": _cents(total / len(people)),
        "median": _cents(Decimal(median(amount for _, amount in amounts))),
    }


@dataclass(frozen=True, slots=True)
class Activity:
    """When a member entered (None: not known), and the months in which it has done something since."""

    entered_at: Millis | None
    months: frozenset[int]


def month_of(at: Millis) -> int:
    """Number of the calendar month (UTC), counted from the year 0."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.year * 12 + moment.month - 1


def month_name(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def cohorts(members: Iterable[Activity], now: Millis, most: int) -> list[dict[str, Any]]:
    """Members by the month in which they entered, the earliest first: how many of them were active in that month
    after entering (0) and in each month after it, up to now and at most `most` months on. The last one may still
    be under way."""
    by_month: dict[int, list[frozenset[int]]] = defaultdict(list)
    for member in members:
        if member.entered_at is not None:
            by_month[month_of(member.entered_at)].append(member.months)
    current = month_of(now)
    return [_cohort(month, months, current, most) for month, months in sorted(by_month.items())]


def _cohort(month: int, members: Sequence[frozenset[int]], current: int, most: int) -> dict[str, Any]:
    retention = []
    for number_of in range(max(min(current - month, most), 0) + 1):
        active = sum(month + number_of in months for months in members)
        retention.append({"month": number_of, "active": active, "share": rate(active, len(members))})
    return {"month": month_name(month), "members": len(members), "retention": retention}


def _cents(value: Decimal) -> float:
    return float(round(value, 4))
