"""What a customer's latest events say of device, location, page and campaign (pure)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from headrace.contracts.instant import Millis

PARTS = ("device", "location", "page", "campaign")


class _Payload(msgspec.Struct, gc=False):
    """What of a row is read; any JSON may stand in the context."""

    context: msgspec.Raw = msgspec.Raw(b"{}")


_payload = msgspec.json.Decoder(_Payload)
_context = msgspec.json.Decoder(dict[str, Any])


def read_context(payload: bytes) -> dict[str, Any]:
    """The parts that a row's context has, each an object with something in it. A device is told with its system
    and the browser's user agent."""
    try:
        context = _context.decode(_payload.decode(payload).context)
    except (msgspec.DecodeError, RecursionError):
        return {}
    device = {
        **_object(context.get("device")),
        **_named("os", _object(context.get("os"))),
        **_named("user_agent", context.get("userAgent")),
    }
    parts = {"device": device} | {name: _object(context.get(name)) for name in PARTS[1:]}
    return {name: found for name, found in parts.items() if found}


def last_known(rows: Iterable[tuple[Millis, bytes]]) -> dict[str, dict[str, Any]]:
    """Of (ts, payload), the latest first: each part as the latest event that has it says, `at` its time."""
    found: dict[str, dict[str, Any]] = {}
    for ts, payload in rows:
        for name, value in read_context(payload).items():
            found.setdefault(name, {"at": ts, "value": value})
        if len(found) == len(PARTS):
            break
    return found


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(name: str, value: Any) -> dict[str, Any]:
    return {name: value} if value else {}
