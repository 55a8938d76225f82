"""Tracking by image: `GET /pixel/v1/track?writeKey=…&event=…&userId=…&properties.total=9`."""

import base64
from typing import Any

import msgspec

GIF = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")

_OBJECTS = ("properties", "traits", "context")


def event_body(query: list[tuple[str, str]]) -> bytes:
    """The event that a query stands for. A dot leads into properties, traits or context; values stay texts;
    of a repeated name the first counts."""
    fields: dict[str, Any] = {"channel": "web"}
    for name, value in query:
        head, _, rest = name.partition(".")
        if name == "writeKey":
            continue
        if rest and head in _OBJECTS:
            nested = fields.setdefault(head, {})
            if isinstance(nested, dict):
                nested.setdefault(rest, value)
        else:
            fields.setdefault(name, value)
    return msgspec.json.encode(fields)
