"""A customer as seen at an instant, with everything that is known or looking back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from services.segmenter.batch.customer import OwnRow, Subject
from services.segmenter.batch.dates import zone
from services.segmenter.batch.values import reach
from services.segmenter.paths import decode_json

Family = Literal["trait", "consent", "tag"]
_OTHER_NAMES = {"page": "Page Viewed", "screen": "Screen Viewed"}


class Verdict(NamedTuple):
    """A condition's truth, the value it was found by, and the messageIds of the events that decided."""

    result: bool
    value: Any = None
    events: tuple[str, ...] = ()


class Event:
    """An event, its JSON decoded when somebody looks inside."""

    __slots__ = ("_parts", "message_id", "name", "order", "row", "ts")

    def __init__(self, row: EventRow) -> None:
        self.row = row
        self.ts = row.ts
        self.message_id = row.message_id
        self.name = row.event if row.type == "track" else _OTHER_NAMES.get(row.type)
        self.order = (row.ts, row.source, row.message_id)
        self._parts: dict[str, Any] = {}

    def values(self, path: str) -> list[Any]:
        """Everything under a path that begins with `properties` or `context`; nothing under others."""
        part = path.partition(".")[0].removesuffix("[]")
        if part not in ("properties", "context"):
            return []
        if part not in self._parts:
            self._parts[part] = _decoded(self.row.properties if part == "properties" else self.row.context)
        return reach(self._parts, path)


class Change(NamedTuple):
    """From `at` on the value was this one (None: none); the row's messageId."""

    at: Millis
    value: Any
    message_id: str


class Known:
    """All that is known of a customer, read once."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._named: dict[tuple[str, ...], list[Event]] = {}

    @cached_property
    def events(self) -> list[Event]:
        """Of every type, by (ts, source, messageId)."""
        return sorted(map(Event, self.subject.events), key=lambda event: event.order)

    def named(self, names: tuple[str, ...]) -> list[Event]:
        """The events of these names."""
        if names not in self._named:
            self._named[names] = [event for event in self.events if event.name in names]
        return self._named[names]

    @cached_property
    def changes(self) -> Mapping[tuple[Family, str], list[Change]]:
        """What each trait, consent and tag became, and when: never before an earlier change of the same."""
        found: dict[tuple[Family, str], list[Change]] = {}
        for row in self.subject.own:
            for key, value in _changed(row):
                before = found.setdefault(key, [])
                at = row.ts if isinstance(row, EventRow) else row.time
                before.append(Change(max(at, before[-1].at) if before else at, value, row.message_id))
        return found

    @cached_property
    def zone(self) -> tzinfo:
        """Where the customer lives, as known now."""
        traits = self.changes.get(("trait", "timezone"), ())
        named = [change.value for change in traits[-1:]]
        for event in reversed(self.events):
            named += event.values("context.timezone")
        return next((found for found in map(zone, named) if found is not None), UTC)


@dataclass(frozen=True, slots=True)
class View:
    """At the instant `t`: everything that is known counts, or, looking `back`, only what was by then."""

    known: Known
    t: Millis
    back: bool = False

    def looking_back(self, t: Millis) -> "View":
        return View(self.known, t, back=True)

    def events(self, names: tuple[str, ...] | None) -> list[Event]:
        """Of these names (None: of every type), by (ts, source, messageId)."""
        events = self.known.events if names is None else self.known.named(names)
        return [event for event in events if event.ts <= self.t] if self.back else events

    def change(self, family: Family, name: str) -> Change | None:
        """The last change of a trait, a consent or a tag that counts."""
        changes = self.known.changes.get((family, name), [])
        counting = [change for change in changes if not self.back or change.at <= self.t]
        return counting[-1] if counting else None


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return decode_json(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None  # no value stands in what cannot be read


def _changed(row: OwnRow) -> Iterable[tuple[tuple[Family, str], Any]]:
    yield from ((("trait", name), value) for name, value in row.traits.items())
    yield from ((("consent", channel), status) for channel, status in row.consents.items())
    yield from ((("tag", name), on) for name, on in row.tags.items())
