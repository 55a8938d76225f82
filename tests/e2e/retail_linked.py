"""The retail file's buyers under two identifiers: half of each one's invoices by loyalty card, half by e-mail."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.api import Api

Message = dict[str, Any]
CARD = "loyalty_card"
_LONDON = ZoneInfo("Europe/London")


class Linked:
    """Messages of one shop; `import_all` writes them to a file and imports it."""

    def __init__(self, api: Api, shop: str, path: Path, folder: Path) -> None:
        self._api = api
        self._shop = shop
        self._folder = folder
        self._invoices = _read(path)
        places: dict[str, int] = defaultdict(int)
        self._by_card: dict[str, bool] = {}
        for number, lines in self._invoices.items():
            customer = _customer(lines)
            self._by_card[number] = places[customer] % 2 == 0
            places[customer] += 1
        self.customers = sorted(places.keys() - {""})

    def by_card(self) -> Iterator[Message]:
        return self._orders(by_card=True)

    def by_email(self) -> Iterator[Message]:
        return self._orders(by_card=False)

    def links(self) -> Iterator[Message]:
        """Each customer says once that card and e-mail are one person's; the oldest orders come long before."""
        for customer in self.customers:
            yield {
                "type": "identify",
                "messageId": f"{self._shop}:link:{customer}",
                "traits": {"email": self.email(customer)},
                "context": self._card(customer),
            }

    def import_all(self, name: str, messages: Iterable[Message]) -> None:
        file = self._folder / f"{self._shop}-{name}.ndjson"
        file.write_text("".join(json.dumps(message) + "\n" for message in messages), encoding="utf-8")
        self._api.headrace("import", file)

    def profiles(self, kind: str) -> dict[str, str]:
        """Profile ids by customer, found by one kind of identifier; `receipt` finds the strangers'."""
        prefix = {CARD: f"{self._shop}-", "email": f"{self._shop}.", "receipt": f"{self._shop}:receipt:"}[kind]
        wanted = "anonymous_id" if kind == "receipt" else kind
        found = {}
        for profile in self._api.items("profiles", "/v1/profiles", query=prefix, limit="200"):
            for one in profile["identifiers"]:
                if one["type"] == wanted and one["value"].startswith(prefix):
                    found[one["value"].removeprefix(prefix).partition("@")[0]] = profile["id"]
        return found

    def email(self, customer: str) -> str:
        return f"{self._shop}.{customer}@shop.example.com"

    def _orders(self, *, by_card: bool) -> Iterator[Message]:
        for number, lines in self._invoices.items():
            if self._by_card[number] is by_card:
                yield self._order(number, lines, by_card=by_card)
                yield self._country(number, lines, by_card=by_card)

    def _order(self, number: str, lines: list[dict[str, str]], *, by_card: bool) -> Message:
        total = sum((int(one["Quantity"]) * Decimal(one["UnitPrice"]) for one in lines), Decimal())
        return {
            "type": "track",
            "event": "Order Refunded" if number.startswith("C") else "Order Completed",
            "messageId": f"{self._shop}:invoice:{number}",
            "timestamp": _instant(lines),
            "properties": {
                "order_id": number,
                "total": float(total),
                "currency": "GBP",
                "country": lines[0]["Country"],
                "shop": self._shop,
                "products": [_item(one) for one in lines],
            },
            **self._who(number, lines, by_card=by_card),
        }

    def _country(self, number: str, lines: list[dict[str, str]], *, by_card: bool) -> Message:
        who = self._who(number, lines, by_card=by_card)
        context = who.get("context", {})
        traits = {"country": lines[0]["Country"], **context.get("traits", {})}
        return {
            "type": "identify",
            "messageId": f"{self._shop}:country:{number}",
            "timestamp": _instant(lines),
            **who,
            "traits": traits,
        }

    def _who(self, number: str, lines: list[dict[str, str]], *, by_card: bool) -> Message:
        customer = _customer(lines)
        if not customer:
            return {"anonymousId": f"{self._shop}:receipt:{number}"}
        if by_card:
            return {"context": self._card(customer)}
        return {"context": {"traits": {"email": self.email(customer)}}}

    def _card(self, customer: str) -> Message:
        card = {"id": f"{self._shop}-{customer}", "type": CARD, "collection": "users", "encoding": "none"}
        return {"externalIds": [card]}


def _read(path: Path) -> dict[str, list[dict[str, str]]]:
    invoices: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            invoices[row["InvoiceNo"]].append(row)
    return invoices


def _customer(lines: list[dict[str, str]]) -> str:
    return lines[0]["CustomerID"].removesuffix(".0")


def _instant(lines: list[dict[str, str]]) -> str:
    return datetime.fromisoformat(lines[0]["InvoiceDate"]).replace(tzinfo=_LONDON).isoformat()


def _item(line: dict[str, str]) -> Message:
    return {"sku": line["StockCode"], "quantity": int(line["Quantity"]), "price": float(line["UnitPrice"])}
