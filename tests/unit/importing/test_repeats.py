"""A second export of the same rows gives the same messages, whatever the order of its rows and columns."""

import csv
import io
import json
import random
from contextlib import nullcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.importing.builder import Builder
from headrace.importing.mapping import Mapping, parse_mapping
from headrace.importing.outcome import Outgoing
from headrace.importing.table import CsvTable
from tests.unit.importing.shop import HEADER, mapping

EVENTS = parse_mapping(
    {
        "kind": "import",
        "message": {
            "event": "Points Earned",
            "timestamp": {"column": "When", "format": "%d.%m.%Y %H:%M"},
            "user_id": "{Customer}",
            "properties": {"sku": "{Sku}", "n": {"column": "Qty", "as": "integer"}},
        },
    }
)

texts = st.sampled_from(["A", 'x "quoted"', "two\nlines", "=1+1", ", ", "'", "ř"])
tables = st.lists(
    st.tuples(st.sampled_from(["R1", "R2", "R3"]), texts, st.integers(1, 3)), min_size=1, max_size=12
)


def written(header: list[str], rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def messages(content: bytes, mapping: Mapping) -> list[dict[str, Any]]:
    table = CsvTable(lambda: nullcontext(io.BytesIO(content)), mapping.csv, "t.csv")
    builder = Builder(mapping, table.header)
    found = list(builder.outcomes(table.rows(), builder.survey(table.rows())))
    assert all(isinstance(one, Outgoing) for one in found), found
    return [json.loads(one.body) for one in found if isinstance(one, Outgoing)]


def rows_of(table: list[tuple[str, str, int]]) -> list[dict[str, str]]:
    shared = {"Price": "1.50", "When": "24.12.2025 18:30", "Customer": "7"}
    return [{"Receipt": name, "Sku": sku, "Qty": str(number), **shared} for name, sku, number in table]


def as_set(found: list[dict[str, Any]]) -> list[str]:
    for message in found:
        message["properties"].get("products", []).sort(key=json.dumps)
    return sorted(json.dumps(message, sort_keys=True) for message in found)


@given(tables, st.randoms(use_true_random=False))
def test_order_does_not_matter(table: list[tuple[str, str, int]], chance: random.Random) -> None:
    rows = rows_of(table)
    header, shuffled = chance.sample(HEADER, len(HEADER)), chance.sample(rows, len(rows))
    for by in (mapping(), EVENTS):
        again = as_set(messages(written([*header, "Unmapped"], shuffled), by))
        assert as_set(messages(written(HEADER, rows), by)) == again


def test_rows_that_say_the_same_stay_as_many_as_they_are() -> None:
    rows = rows_of([("R1", "A", 1), ("R2", "A", 1), ("R3", "B", 1)])
    ids = {message["messageId"] for message in messages(written(HEADER, rows), EVENTS)}
    assert len(ids) == 3
