"""The carried sample of real orders on a running stack, and what must come of it, reckoned from the file."""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from headrace.cli.shipped import example
from tests.e2e.api import Api
from tests.e2e.wait import wait_until

SAMPLE = example("retail/online_retail_sample.csv.gz")
_MAPPING = example("retail/mapping.yaml")

DEFINITIONS = """
kind: segment
id: {shop}-two-orders
name: Two orders
when: {{event: {{name: Order Completed, where: [{{path: properties.shop, eq: {shop}}}], count: {{gte: 2}}}}}}
---
kind: segment
id: {shop}-big-spenders
name: Big spenders
when:
  event:
    name: Order Completed
    where: [{{path: properties.shop, eq: {shop}}}]
    sum: {{of: properties.total, gte: 1000}}
---
kind: segment
id: {shop}-visited
name: Visited
when: {{event: {{name: Shop Visited, where: [{{path: properties.shop, eq: {shop}}}]}}}}
---
kind: template
id: {shop}-hello
channel: sms
text: Hello
---
kind: campaign
id: {shop}-hello
name: Hello
trigger: {{segment: {shop}-visited, on: entered}}
steps: [{{send: {{channels: [sms], template: {shop}-hello}}}}]
---
kind: campaign
id: {shop}-never
name: History must not send
trigger: {{segment: {shop}-two-orders, on: entered}}
steps: [{{send: {{channels: [sms], template: {shop}-hello}}}}]
"""


class Expected:
    """What the file says (the carried sample, or the whole of it), without our code but the CSV reader's."""

    def __init__(self, path: Path = SAMPLE) -> None:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.rows = len(rows)
        customer_of = {row["InvoiceNo"]: row["CustomerID"].removesuffix(".0") for row in rows}
        self.invoices = len(customer_of)
        self.customers = sorted(set(customer_of.values()) - {""})
        self.receipts = sorted(invoice for invoice, customer in customer_of.items() if not customer)
        self.events = Counter(
            "Order Refunded" if invoice.startswith("C") else "Order Completed" for invoice in customer_of
        )
        orders: Counter[str] = Counter()
        spent: dict[str, Decimal] = defaultdict(Decimal)
        for invoice, customer in customer_of.items():
            if not invoice.startswith("C"):
                orders[customer or invoice] += 1
        for row in rows:
            if not row["InvoiceNo"].startswith("C"):
                who = customer_of[row["InvoiceNo"]] or row["InvoiceNo"]
                spent[who] += int(row["Quantity"]) * Decimal(row["UnitPrice"])
        self.two_orders = sorted(who for who, number in orders.items() if number >= 2)
        self.big_spenders = sorted(who for who, total in spent.items() if total >= 1000)


class Shop:
    """The sample's customers under names of their own, so that several imports fit on one platform."""

    def __init__(self, api: Api, name: str, folder: Path, *, phones: int, path: Path = SAMPLE) -> None:
        """`phones` is the first of this shop's fictional numbers, 0 to 999; `path` the file of orders."""
        self.api = api
        self._path = path
        self.name = name
        self._phones = phones
        self._mapping = folder / f"{name}.yaml"
        self._mapping.write_text(_renamed(_MAPPING.read_text(encoding="utf-8"), name), encoding="utf-8")
        definitions = folder / f"{name}-definitions.yaml"
        definitions.write_text(DEFINITIONS.format(shop=name), encoding="utf-8")
        api.headrace("apply", "-f", definitions, "--wait")

    def import_arguments(self) -> tuple[str, ...]:
        rejected = self._mapping.with_suffix(".rejected.csv")
        return ("import", str(self._path), "--mapping", str(self._mapping), "--rejected", str(rejected))

    def user(self, customer: str) -> str:
        return f"{self.name}-{customer}"

    def profiles(self) -> dict[str, str]:
        """Profile ids by customer or receipt, of all that arrived until now."""
        found = {}
        for prefix in (f"{self.name}-", f"{self.name}:receipt:"):
            for profile in self.api.items("profiles", "/v1/profiles", query=prefix, limit="200"):
                values = (identifier["value"] for identifier in profile["identifiers"])
                name = next(value for value in values if value.startswith(prefix))
                found[name.removeprefix(prefix)] = profile["id"]
        return found

    def members(self, segment: str, profiles: Mapping[str, str]) -> list[str]:
        """Names of the members; a profile that the sample does not know stays an id."""
        names = {profile: name for name, profile in profiles.items()}
        return sorted(names.get(profile, profile) for profile in self.api.members(f"{self.name}-{segment}"))

    def orders(self, profiles: Mapping[str, str]) -> Counter[str]:
        """Orders on the customers' timelines, by the event's name."""
        return Counter(
            item["event"]
            for profile in profiles.values()
            for item in self.api.timeline(profile)
            if str(item.get("event")).startswith("Order ")
        )

    def settled(self, expected: Expected, patience: float = 60) -> dict[str, str]:
        """Wait until everything in the file has arrived everywhere; the profiles."""
        names = {*expected.customers, *expected.receipts}
        wait_until(
            lambda: self.profiles().keys() == names, patience, what="the sample's profiles, no more and no less"
        )
        profiles = self.profiles()
        for segment, members in (("two-orders", expected.two_orders), ("big-spenders", expected.big_spenders)):
            wait_until(lambda: self.members(segment, profiles) == members, 30, what=f"members of {segment}")  # noqa: B023
        wait_until(lambda: self.orders(profiles) == expected.events, 60, what="the orders on the timelines")
        return profiles

    def phone(self, number: int) -> str:
        return f"+447700900{self._phones + number:03d}"

    def visit(self, customer: str, number: int) -> dict[str, Any]:
        """A batch: the customer agrees to messages and comes by, so enters a segment and gets an SMS."""
        ids = f"{self.name}:{customer}"
        agrees = {"event": "Consent Given", "properties": {"channel": "sms"}}
        comes = {"event": "Shop Visited", "properties": {"shop": self.name}}
        messages = [
            {"type": "identify", "messageId": f"{ids}:identify", "traits": {"phone": self.phone(number)}},
            {"type": "track", "messageId": f"{ids}:consent", **agrees},
            {"type": "track", "messageId": f"{ids}:visit", **comes},
        ]
        return {"batch": [{"userId": self.user(customer), **message} for message in messages]}


def _renamed(mapping: str, shop: str) -> str:
    for old, new in (
        ('"invoice:{InvoiceNo}"', f'"{shop}:invoice:{{InvoiceNo}}"'),
        ('"{CustomerID}"', f'"{shop}-{{CustomerID}}"'),
        ('"receipt:{InvoiceNo}"', f'"{shop}:receipt:{{InvoiceNo}}"'),
        ('"{Country}"', f'"{{Country}}"\n    shop: {shop}'),
    ):
        assert mapping.count(old) == 1
        mapping = mapping.replace(old, new)
    return mapping
