"""The buyers of the retail file with their invoices, read with nothing but the standard library."""

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

_LONDON = ZoneInfo("Europe/London")
Row = dict[str, str]


@dataclass(frozen=True)
class Invoice:
    """An order, or what was given back: then the quantities and the total are negative. `at` is in UTC; `place`
    rises in the order of the file."""

    number: str
    place: int
    at: datetime
    country: str
    total: Decimal
    skus: frozenset[str]
    quantities: tuple[int, ...]

    @property
    def refund(self) -> bool:
        return self.number.startswith("C")


@dataclass(frozen=True)
class Buyer:
    """A customer, or whoever holds a receipt without a customer's number. All invoices, ascending by time."""

    invoices: tuple[Invoice, ...]

    @cached_property
    def orders(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices if not invoice.refund]

    @cached_property
    def refunds(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices if invoice.refund]

    @cached_property
    def country(self) -> str:
        """Where the latest invoice went to."""
        return max(self.invoices, key=lambda invoice: (invoice.at, invoice.place)).country

    def orders_within(self, begin: datetime, end: datetime) -> int:
        """How many orders there are from `begin` until before `end`."""
        return sum(begin <= order.at < end for order in self.orders)

    def days_between_orders(self) -> list[float]:
        return [(later.at - earlier.at).total_seconds() / 86_400 for earlier, later in pairwise(self.orders)]


def total(invoices: Iterable[Invoice]) -> Decimal:
    return sum((invoice.total for invoice in invoices), Decimal())


def products(orders: Iterable[Invoice]) -> set[str]:
    """Which products were ordered."""
    return {sku for order in orders for sku in order.skus}


def read_buyers(path: Path) -> dict[str, Buyer]:
    """By the customer's number, else by the receipt's."""
    rows: dict[str, list[Row]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["InvoiceNo"], []).append(row)
    found: dict[str, list[Invoice]] = {}
    for place, (number, lines) in enumerate(rows.items()):
        name = lines[0]["CustomerID"].removesuffix(".0") or number
        found.setdefault(name, []).append(_invoice(number, place, lines))
    return {
        name: Buyer(tuple(sorted(invoices, key=lambda invoice: (invoice.at, invoice.number))))
        for name, invoices in found.items()
    }


def _invoice(number: str, place: int, lines: list[Row]) -> Invoice:
    wall_clock = datetime.strptime(lines[0]["InvoiceDate"], "%Y-%m-%d %H:%M:%S")
    return Invoice(
        number,
        place,
        wall_clock.replace(tzinfo=_LONDON).astimezone(UTC),
        lines[0]["Country"],
        sum((int(line["Quantity"]) * Decimal(line["UnitPrice"]) for line in lines), Decimal()),
        frozenset(line["StockCode"] for line in lines),
        tuple(int(line["Quantity"]) for line in lines),
    )
