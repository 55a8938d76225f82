"""Reaching into an event or a trait: `properties.products[].price` gives every price, in order.

Numbers arrive as int or Decimal, never as float: rows are decoded with `float_hook=Decimal`.
"""

from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation, Rounded
from typing import Any

import msgspec

from headrace.contracts.profile_event import EventRow, ProfileEvent

Step = tuple[str, bool]  # key, and whether to go into each item of the list found there
Steps = tuple[Step, ...]

MAX_EXPONENT = 400  # beyond what any JSON reader of a sender can hold; keeps exact sums short
MAX_DIGITS = 400  # likewise: sums of such numbers stay below the precision and are exact in any order
EXACT = Context(prec=2_000)
_SHORT = Context(prec=MAX_DIGITS, traps=[Rounded])


def _exact(text: str) -> Decimal | None:
    """None for an exponent that no Decimal takes (`1e-9999999999999999999` is JSON): a missing value."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


_json = msgspec.json.Decoder(float_hook=_exact)
_rows: msgspec.json.Decoder[ProfileEvent] = msgspec.json.Decoder(ProfileEvent, float_hook=_exact)
_MANY = "[]"
_UNREAD = object()
NAMED_BY_TYPE = {"page": "Page Viewed", "screen": "Screen Viewed"}
"""The names of events whose type says it all."""
_PAGES = frozenset(NAMED_BY_TYPE.values())


def decode_row(value: bytes) -> ProfileEvent:
    """A record of `cdp.profile-events` with exact numbers. Raises msgspec.DecodeError or ValidationError."""
    return _rows.decode(value)


def decode_json(raw: bytes | msgspec.Raw) -> Any:
    """JSON with exact numbers."""
    return _json.decode(raw)


def parse_path(path: str) -> Steps:
    """`a.b[].c` to steps."""
    return tuple((step.removesuffix(_MANY), step.endswith(_MANY)) for step in path.split("."))


def lookup(root: Any, steps: Sequence[Step]) -> list[Any]:
    """Every value under the path; a null counts as missing."""
    node = root
    for place, (key, many) in enumerate(steps):
        if not isinstance(node, dict):
            return []
        node = node.get(key)
        if many:
            rest, items = steps[place + 1 :], node if isinstance(node, list) else ()
            return [value for item in items for value in lookup(item, rest)]
    return [] if node is None else [node]


def number(value: Any) -> Decimal | None:
    """The value as an exact number; None when it is of another type or out of every sender's range."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    exact = Decimal(value)
    if not -MAX_EXPONENT <= exact.adjusted() <= MAX_EXPONENT:
        return None
    try:
        _SHORT.plus(exact)  # cheaper than to look at its digits
    except Rounded:
        return None
    return exact


def event_name(row: EventRow) -> str | None:
    """The name that event conditions match: a track's event, or Segment's name for pages and screens."""
    return row.event if row.type == "track" else NAMED_BY_TYPE.get(row.type)


class EventView:
    """One event as conditions see it; its JSON is decoded only when a condition looks inside."""

    __slots__ = ("_found", "_parts", "_row", "ts")

    def __init__(self, row: EventRow) -> None:
        self._row = row
        self.ts = row.ts
        self._parts: dict[str, Any] = {}
        self._found: dict[Steps, list[Any]] = {}

    @property
    def paged(self) -> bool:
        """Whether it is a page or a screen that was viewed."""
        return event_name(self._row) in _PAGES

    def values(self, steps: Steps) -> list[Any]:
        found = self._found.get(steps)
        if found is None:
            root = steps[0][0]
            part = self._parts.get(root, _UNREAD)
            if part is _UNREAD:
                part = self._parts[root] = self._decode(root)
            if len(steps) == 2 and isinstance(part, dict) and not (steps[0][1] or steps[1][1]):
                value = part.get(steps[1][0])  # as nearly all
                found = self._found[steps] = [] if value is None else [value]
            else:
                found = self._found[steps] = lookup({root: part}, steps)
        return found

    def _decode(self, root: str) -> Any:
        if root not in ("properties", "context"):
            return None
        try:
            return decode_json(self._row.properties if root == "properties" else self._row.context)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None  # nobody can look into it: it holds no values, and must not stop the partition
