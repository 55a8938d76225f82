"""A till's export and its mapping, small enough to reckon by hand."""

from typing import Any

from headrace.importing.builder import Builder
from headrace.importing.mapping import Mapping, parse_mapping
from headrace.importing.rows import NumberedRow

HEADER = ["Receipt", "Sku", "Qty", "Price", "When", "Customer"]


def mapping(**changes: Any) -> Mapping:
    document: dict[str, Any] = {
        "kind": "import",
        "group_by": "Receipt",
        "clean": {"Customer": {"strip_suffix": ".0"}},
        "message": {
            "event": "Order Completed",
            "message_id": "receipt:{Receipt}",
            "timestamp": {"column": "When", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Prague"},
            "user_id": "{Customer}",
            "properties": {"total": {"sum": ["Qty", "Price"]}, "lines": {"count": "lines"}},
        },
        "items": {
            "fields": {
                "sku": "{Sku}",
                "quantity": {"column": "Qty", "as": "integer"},
                "price": {"column": "Price", "as": "number"},
            }
        },
        "variants": [
            {"when": {"column": "Customer", "empty": True}, "set": {"anonymous_id": "receipt:{Receipt}"}},
            {"when": {"column": "Receipt", "starts_with": "C"}, "set": {"event": "Order Refunded"}},
        ],
    }
    return parse_mapping({**document, **changes})


def builder(**changes: Any) -> Builder:
    return Builder(mapping(**changes), HEADER)


def rows(*lines: str) -> list[NumberedRow]:
    """Rows as they stand after the header line."""
    return [NumberedRow(number, line.split(",")) for number, line in enumerate(lines, 2)]
