"""RFM scores in plain Python, by the formula's own words, and the real orders to try it on."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import TypeVar

from headrace.contracts.instant import parse_instant
from tests.e2e.retail import SAMPLE

Value = TypeVar("Value", int, Decimal)


@dataclass(frozen=True)
class Order:
    """`paid` is the amount of each line."""

    customer: str
    at: int
    paid: Sequence[Decimal]


def cuts_of(values: Iterable[Value]) -> list[Value]:
    """The nearest ranks ceil(k n / 5) of the values in ascending order, without the last place."""
    ascending = sorted(values)
    n = len(ascending)
    return [ascending[place - 1] for k in (1, 2, 3, 4) if (place := -(-k * n // 5)) < n]


def score(value: Value, cuts: Sequence[Value]) -> int:
    return 1 + len([cut for cut in cuts if cut < value])


def orders() -> list[Order]:
    """Of the known customers of the carried sample; what was cancelled is left out."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["CustomerID"] and line["InvoiceNo"][0] != "C"]
    return [_order(list(of_one)) for _, of_one in groupby(lines, key=lambda line: line["InvoiceNo"])]


def _order(lines: Sequence[dict[str, str]]) -> Order:
    paid = [Decimal(line["Quantity"]) * Decimal(line["UnitPrice"]) for line in lines]
    return Order(f"p{lines[0]['CustomerID']}", parse_instant(lines[0]["InvoiceDate"]), paid)
