"""What the latest event that says so decides: where a customer is, and in which time zone."""

from bisect import bisect_left
from collections.abc import Collection
from datetime import UTC, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any

from headrace.contracts.profile_event import EventRow
from services.segmenter.customer import Customer
from services.segmenter.journal import Origin
from services.segmenter.paths import EventView, parse_path
from services.segmenter.zones import zone_named

LOCATION = "location"
ZONE = "zone"
ZONE_TRAIT = "timezone"

_SAID = {LOCATION: b'"location"', ZONE: b'"timezone"'}
_LATITUDE, _LONGITUDE = parse_path("context.location.latitude"), parse_path("context.location.longitude")
_ZONE = parse_path("context.timezone")


def may_say(row: EventRow, kinds: Collection[str]) -> bool:
    """Whether it is worth to look into the event's context."""
    raw = bytes(row.context)
    return len(raw) > 2 and any(_SAID[kind] in raw or b"\\u" in raw for kind in kinds)


def said(view: EventView, kinds: Collection[str]) -> dict[str, Any]:
    """What an event says, by kind: (latitude, longitude), the zone's name."""
    found: dict[str, Any] = {}
    if LOCATION in kinds and (place := _place(view)) is not None:
        found[LOCATION] = place
    if ZONE in kinds:
        names = [name for name in view.values(_ZONE) if isinstance(name, str) and zone_named(name)]
        if names:
            found[ZONE] = names[0]
    return found


def take_latest(customer: Customer, kind: str, ts: int, origin: Origin, value: Any, begin: int) -> None:
    """Keep what an event said, and what was the latest at `begin` or is later."""
    known = customer.latest.setdefault(kind, [])
    item = (ts, *origin, value)
    place = bisect_left(known, item[:3], key=lambda one: one[:3])
    if place < len(known) and tuple(known[place][:3]) == item[:3]:
        return
    known.insert(place, item)
    while len(known) > 1 and known[1][0] <= begin:
        del known[0]


def zone_of(customer: Customer) -> tzinfo:
    """Where the customer lives."""
    named = _named(customer.traits.get(ZONE_TRAIT))
    if named is None and (known := customer.latest.get(ZONE)):
        named = zone_named(known[-1][3])
    return named or UTC


@lru_cache(maxsize=1_024)
def _named(raw: bytes | None) -> tzinfo | None:
    if raw is None or not raw.startswith(b'"'):
        return None
    return zone_named(raw[1:-1].decode("utf-8", "replace"))


def _place(view: EventView) -> tuple[float, float] | None:
    latitudes, longitudes = view.values(_LATITUDE), view.values(_LONGITUDE)
    if not latitudes or not longitudes:
        return None
    latitude, longitude = _degrees(latitudes[0], 90), _degrees(longitudes[0], 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(value: Any, most: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not -most <= value <= most:
        return None
    return float(value)
