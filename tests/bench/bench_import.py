"""How many rows of a CSV a second of CPU makes into events ready to send.

    python -m tests.bench.bench_import [--rows 100000] [--json FILE]

Receipts of one to seven lines, each with a total over its lines and the lines as products; contacts with a consent
and tags; and single lines whose ids follow from what they say. The file is read twice, as an import reads it: once
to know that it can be read to its end and which receipts are scattered, once to make the messages. The limit is
the standard library's CSV reader over the same file, twice, and the same messages encoded.
"""

import csv
import os
import random
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from headrace.cli.importing.run import open_source
from headrace.importing.outcome import Outgoing
from tests.bench import cpu
from tests.bench.report import Figure, Report, options, present

TURNS = 3
MOST_LINES = 7

_RECEIPTS = """
kind: import
group_by: [Store, Receipt]
message:
  event: Order Completed
  message_id: "pos:{Store}:{Receipt}"
  timestamp: {column: When, format: "%d.%m.%Y %H:%M:%S", zone: Europe/Prague}
  external_ids: [{type: loyalty_card, id: "{Card}"}]
  context: {channel: {value: pos}}
  properties:
    order_id: "{Receipt}"
    affiliation: "{Store}"
    total: {sum: [Quantity, Price]}
    currency: {value: CZK}
items:
  fields:
    sku: "{Sku}"
    name: "{Name}"
    quantity: {column: Quantity, as: integer}
    price: {column: Price, as: number}
"""
_CONTACTS = """
kind: import
message:
  type: identify
  timestamp: {column: Updated}
  external_ids: [{type: crm_id, id: "{Id}"}]
  email: "{Email}"
  traits: {firstName: "{First}", lastName: "{Last}", address.city: "{City}", birthday: {column: Born, as: date}}
consents: [{channel: email, column: News}]
tags: [{column: Labels, separator: "|"}]
"""
_LINES = """
kind: import
message:
  event: Points Earned
  timestamp: {column: When, format: epoch_s}
  user_id: "{Customer}"
  properties: {points: {column: Points, as: integer}, store: "{Store}"}
"""


def receipts(chance: random.Random, rows: int) -> Iterator[list[str]]:
    yield ["Store", "Receipt", "When", "Card", "Sku", "Name", "Quantity", "Price"]
    receipt = 0
    while rows > 0:
        receipt += 1
        day, second = chance.randint(1, 28), chance.randint(0, 59)
        head = [f"s{receipt % 20}", f"{receipt}", f"{day:02d}.11.2025 {second % 24:02d}:10:{second:02d}"]
        card = f"90{chance.randint(0, 50_000):06d}"
        for _ in range(min(rows, chance.randint(1, MOST_LINES))):
            sku, rows = chance.randint(0, 5_000), rows - 1
            yield [
                *head,
                card,
                f"sku-{sku}",
                f"Product, number {sku}",
                str(chance.randint(1, 5)),
                f"{sku % 99}.90",
            ]


def contacts(chance: random.Random, rows: int) -> Iterator[list[str]]:
    yield ["Id", "Email", "First", "Last", "City", "Born", "News", "Labels", "Updated"]
    for number in range(rows):
        who = [f"c-{number}", f"user{number}@example.com", "Jana", "Nováková", f"City {number % 300}"]
        born, updated = f"{1950 + number % 50}-05-17", f"2025-11-{number % 28 + 1:02d} 08:{number % 60:02d}:00"
        yield [*who, born, chance.choice(["yes", "no", ""]), chance.choice(["", "vip", "vip|tea"]), updated]


def lines(chance: random.Random, rows: int) -> Iterator[list[str]]:
    yield ["When", "Customer", "Points", "Store"]
    for number in range(rows):
        yield [str(1_760_000_000 + number), f"u{chance.randint(0, 50_000)}", str(number % 500), f"s{number % 20}"]


SHAPES: dict[str, tuple[str, Callable[[random.Random, int], Iterator[list[str]]]]] = {
    "receipts of several lines": (_RECEIPTS, receipts),
    "contacts with consents and tags": (_CONTACTS, contacts),
    "single lines without ids": (_LINES, lines),
}


def imported(table: Path, mapping: Path) -> list[bytes]:
    """The bodies of all messages of the file."""
    outcomes = open_source([table], mapping).outcomes
    return [outcome.body for outcome in outcomes if isinstance(outcome, Outgoing)]


def least(table: Path, messages: Sequence[dict[str, Any]]) -> None:
    """What cannot be done without: the file read twice, the messages encoded once."""
    encode = msgspec.json.Encoder(decimal_format="number").encode
    for _ in range(2):
        with table.open(encoding="utf-8", newline="") as text:
            for _ in csv.reader(text):
                pass
    for message in messages:
        encode(message)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def figures(rows: int, folder: Path) -> Iterator[Figure]:
    os.sched_setaffinity(0, {cpu.server_core()})
    for name, (text, make) in SHAPES.items():
        table, mapping = folder / "table.csv", folder / "mapping.yaml"
        mapping.write_text(text, encoding="utf-8")
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(make(random.Random(1), rows))
        messages = [msgspec.json.decode(body) for body in imported(table, mapping)]
        ours = best = float("inf")
        for _ in range(TURNS):
            ours = min(ours, seconds(partial(imported, table, mapping)))
            best = min(best, seconds(partial(least, table, messages)))
        yield Figure(name, rows / ours, "rows/CPU-s", rows / best, "csv.reader twice, messages encoded")


def run(arguments: Namespace) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        found = list(figures(arguments.rows, Path(folder)))
    return Report("import", f"{arguments.rows} rows, one core, nothing sent", found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of each file")
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
