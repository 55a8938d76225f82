"""Customers of the carried sample with their real orders, and what they do around them: visits and a cart.

Everything follows from the sample and the row's name, so a run can be repeated event by event.
"""

import csv
import gzip
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from tests.e2e.retail import SAMPLE

WINDOW_SECONDS = 2
"""How long a visit counts, and how long a cart may wait."""
_PAY_SECONDS = 0.7
_OTHER_CART = 1 / 4
"""How many payments are for a cart that nobody knows of."""
_VISITS = 3
_WANDERERS = 4
"""Every so many-th customer is two at first."""
# French numbers that are nobody's, 10,000 with each beginning: set aside for films
_NOBODYS = ("63998", "19900", "26191", "35301", "46571", "53649")

IDENTIFY, CONSENT, PROBE = "identify", "Consent Given", "Probe"
VISIT, FILLED, PAID = "Shop Visited", "Cart Filled", "Cart Paid"
ORDER, REFUND = "Order Completed", "Order Refunded"
BROWSED = "Page Browsed"
"""Of no segment."""
TAGGED, UNTAGGED = "Tag Added", "Tag Removed"
_TAG = {"tag": "hesitant"}

DEFINITIONS = f"""
kind: segment
id: two-orders
name: Two orders
when: {{event: {{name: {ORDER}, count: {{gte: 2}}}}}}
---
kind: segment
id: big-spenders
name: Big spenders
when: {{event: {{name: {ORDER}, sum: {{of: properties.total, gte: 1000}}}}}}
---
kind: segment
id: content
name: Never returned anything
when: {{not: {{event: {{name: {REFUND}}}}}}}
---
kind: segment
id: visiting
name: In the shop just now
when: {{event: {{name: {VISIT}, within: {WINDOW_SECONDS}s}}}}
---
kind: segment
id: abandoners
name: Filled a cart and left
when:
  all:
    - event: {{name: {FILLED}}}
    - not: {{event: {{name: {FILLED}, within: {WINDOW_SECONDS}s}}}}
    - not: {{event: {{name: {PAID}}}}}
---
kind: segment
id: left-cart
name: Did not pay for this cart
when:
  sequence:
    steps: [{{event: {FILLED}}}]
    then_not: {{event: {PAID}, within: {WINDOW_SECONDS}s}}
    by: properties.cart
---
kind: segment
id: went-away
name: Was in the shop and has left
when: {{all: [{{event: {{name: {VISIT}}}}}, {{not: {{event: {{name: {VISIT}, within: {WINDOW_SECONDS}s}}}}}}]}}
---
kind: segment
id: settled
name: Two orders, and some time to think
when: {{held: {{for: {WINDOW_SECONDS}s, condition: {{event: {{name: {ORDER}, count: {{gte: 2}}}}}}}}}}
---
kind: segment
id: assorted
name: Orders of three sizes
when: {{event: {{name: {ORDER}, distinct: {{of: properties.total, gte: 3}}}}}}
---
kind: segment
id: promising
name: Ordered again and spent little
when: {{all: [{{segment: {{id: two-orders}}}}, {{segment: {{id: big-spenders, member: false}}}}]}}
---
kind: segment
id: reachable
name: Agreed to messages
when: {{consent: {{channel: sms, is: granted}}}}
---
kind: segment
id: welcomed
name: Had a message of ours
when: {{message: {{campaign: welcome, did: sent}}}}
---
kind: segment
id: hesitant
name: Tagged so
when: {{tag: {{name: hesitant}}}}
---
kind: segment
id: probed
name: Probes
when: {{event: {{name: {PROBE}}}}}
---
kind: template
id: hello
channel: sms
text: Hello
---
kind: campaign
id: welcome
name: Welcome
trigger: {{segment: visiting, on: entered}}
steps: [{{send: {{channels: [sms], template: hello}}}}]
---
kind: campaign
id: cart-rescue
name: Cart rescue
trigger: {{segment: abandoners, on: entered}}
steps: [{{send: {{channels: [sms], template: hello}}}}]
"""
CAMPAIGNS = {"welcome": "visiting", "cart-rescue": "abandoners"}
"""The segment that each campaign waits for."""


@dataclass(frozen=True)
class Event:
    """What a client sends. `at`: seconds after the start of the row. `known_as`: the ids it has of the user's."""

    user: str
    message_id: str
    name: str
    at: float
    properties: dict[str, Any] = field(default_factory=dict)
    phone: str | None = None
    known_as: tuple[str, ...] = ("userId",)

    def message(self, timestamp: str) -> dict[str, Any]:
        """As it stands in a batch."""
        ids = {"userId": self.user, "anonymousId": f"browser-of-{self.user}"}
        common = {kind: ids[kind] for kind in self.known_as}
        common |= {"messageId": self.message_id, "timestamp": timestamp}
        if self.name == IDENTIFY:
            return {"type": "identify", "traits": {"phone": self.phone} if self.phone else {}, **common}
        return {"type": "track", "event": self.name, "properties": self.properties, **common}


def phones() -> Iterator[str]:
    """60,000 different numbers."""
    return (f"+33{area}{number:04d}" for area in _NOBODYS for number in range(10_000))


def shopping(row: str, events: int, seconds: float, phones: Iterator[str]) -> list[Event]:
    """At least `events` events of as many customers as it takes, over `seconds`, in the order of their time.
    Customers are `row`'s own."""
    found: list[Event] = []
    for number, (customer, orders) in enumerate(itertools.cycle(_sample().items())):
        if len(found) >= events:
            break
        user = f"{row}-{number}-{customer}"
        if number % _WANDERERS:
            found += _customer(user, next(phones), orders, seconds)
        else:
            found += _wanderer(user, orders, seconds)
    return sorted(found, key=lambda event: event.at)


def carts(row: str, customers: int, phones: Iterator[str], *, filled_at: float, paid_at: float) -> list[Event]:
    """Customers who all fill their cart at one time, and pay at another."""
    found = []
    for number in range(customers):
        user = f"{row}-cart-{number}"
        cart = {"cart": f"{user}:cart"}
        found += [*_arrival(user, next(phones), 0.0), Event(user, f"{user}:filled", FILLED, filled_at, cart)]
        found.append(Event(user, f"{user}:paid", PAID, paid_at, cart))
    return sorted(found, key=lambda event: event.at)


def _customer(user: str, phone: str, orders: Sequence[tuple[str, str, Decimal]], seconds: float) -> list[Event]:
    chance = random.Random(user)  # a text seeds the same everywhere
    start = chance.uniform(0, seconds / 3)
    cart = {"cart": f"{user}:cart"}
    found = [*_arrival(user, phone, start), Event(user, f"{user}:filled", FILLED, start, cart)]
    if chance.random() < 2 / 3:
        found += _payment(user, start, cart, own=chance.random() >= _OTHER_CART)
    else:
        found.append(Event(user, f"{user}:tag", TAGGED, start, _TAG))
    visits = [chance.uniform(start, seconds) for _ in range(_VISITS)]
    found += [Event(user, f"{user}:visit:{number}", VISIT, at) for number, at in enumerate(visits)]
    for name, invoice, total in orders:
        properties = {"order_id": invoice, "total": float(total), "currency": "GBP"}
        found.append(Event(user, f"{user}:{invoice}", name, chance.uniform(start, seconds), properties))
    return found


def _payment(user: str, start: float, cart: dict[str, str], *, own: bool) -> list[Event]:
    """For the own cart; or for another one, after a hesitation that an operator notes and takes back."""
    at = start + _PAY_SECONDS
    if own:
        return [Event(user, f"{user}:paid", PAID, at, cart)]
    return [
        Event(user, f"{user}:tag", TAGGED, start, _TAG),
        Event(user, f"{user}:untag", UNTAGGED, at, _TAG),
        Event(user, f"{user}:paid", PAID, at, {"cart": f"{user}:other-cart"}),
    ]


def _wanderer(user: str, orders: Sequence[tuple[str, str, Decimal]], seconds: float) -> list[Event]:
    """Somebody who orders with and without an account, and says half-way that both are one: profiles merge."""
    chance = random.Random(user)
    found = [Event(user, f"{user}:login", IDENTIFY, seconds / 2, known_as=("userId", "anonymousId"))]
    for name, invoice, total in orders:
        properties = {"order_id": invoice, "total": float(total), "currency": "GBP"}
        known_as = chance.choice((("userId",), ("anonymousId",)))
        at = chance.uniform(0, seconds)
        found.append(Event(user, f"{user}:{invoice}", name, at, properties, known_as=known_as))
    return found


def _arrival(user: str, phone: str, at: float) -> list[Event]:
    return [
        Event(user, f"{user}:identify", IDENTIFY, at, phone=phone),
        Event(user, f"{user}:consent", CONSENT, at, {"channel": "sms"}),
    ]


@cache
def _sample() -> dict[str, list[tuple[str, str, Decimal]]]:
    """(event, invoice, total) of each customer's invoices, in the order of the file."""
    totals: dict[tuple[str, str], Decimal] = {}
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if customer := line["CustomerID"].removesuffix(".0"):
                key = customer, line["InvoiceNo"]
                totals[key] = totals.get(key, Decimal()) + int(line["Quantity"]) * Decimal(line["UnitPrice"])
    orders: dict[str, list[tuple[str, str, Decimal]]] = {}
    for (customer, invoice), total in totals.items():
        name = REFUND if invoice.startswith("C") else ORDER
        orders.setdefault(customer, []).append((name, invoice, total))
    return orders
