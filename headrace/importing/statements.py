"""What a row says besides its message, as further events: consents given and withdrawn, tags put on and off."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headrace.importing.cells import shown
from headrace.importing.columns import BadRow
from headrace.importing.mapping import Mapping
from headrace.importing.mapping_values import ConsentRule, TagRule
from headrace.importing.message import instant_of
from headrace.importing.rows import NumberedRow
from headrace.importing.templates import template_reader
from headrace.importing.values import Readers

Said = tuple[str, dict[str, Any], str | None]
"""An event's name, its properties, and when, if not with the message."""

_WHO = ("userId", "anonymousId")


class Statements:
    """The consents and tags of a mapping."""

    def __init__(self, mapping: Mapping, readers: Readers) -> None:
        self._rules: list[_Consent | _Tag | _Tags] = [_Consent(rule, readers) for rule in mapping.consents]
        self._rules += [
            _Tag(rule, readers) if rule.column is None else _Tags(rule, readers) for rule in mapping.tags
        ]

    def of(self, rows: Sequence[NumberedRow], message: dict[str, Any]) -> list[dict[str, Any]]:
        """Track events of the same customer and time as `message`. Raises BadRow."""
        if not self._rules:
            return []
        who = {name: message[name] for name in _WHO if name in message}
        context = _identity_context(message)
        events = []
        for rule in self._rules:
            for name, properties, timestamp in rule.read(rows):
                event = {"type": "track", **who, "event": name, "properties": properties}
                if context:
                    event["context"] = context
                if timestamp or "timestamp" in message:
                    event["timestamp"] = timestamp or message["timestamp"]
                events.append(event)
        return events


def _identity_context(message: dict[str, Any]) -> dict[str, Any]:
    """What of the message names the customer, as another type of event says it."""
    context: dict[str, Any] = {}
    if external := message.get("context", {}).get("externalIds"):
        context["externalIds"] = external
    traits = {**message.get("context", {}).get("traits", {}), **message.get("traits", {})}
    if contacts := {name: traits[name] for name in ("email", "phone") if traits.get(name)}:
        context["traits"] = contacts
    return context


class _Consent:
    def __init__(self, rule: ConsentRule, readers: Readers) -> None:
        self._column = rule.column
        self._channel = template_reader(rule.channel, readers.columns.cell)
        self._cell = readers.columns.cell(rule.column)
        words = {**_folded(rule.withdrawn, "Consent Withdrawn"), **_folded(rule.granted, "Consent Given")}
        self._events = words
        self._time = instant_of(rule.timestamp, readers)
        self._properties = readers.nested(rule.properties)
        self._words = ", ".join([*rule.granted, *rule.withdrawn])

    def read(self, rows: Sequence[NumberedRow]) -> Iterator[Said]:
        first = rows[0]
        text, channel = self._cell(first.cells), self._channel(first.cells)
        if not text or not channel:
            return
        event = self._events.get(text.casefold())
        if event is None:
            raise BadRow(first.line, self._column, f"{shown(text)} is none of {self._words}")
        yield event, {"channel": channel, **self._properties(rows)}, self._time(first)


class _Tag:
    def __init__(self, rule: TagRule, readers: Readers) -> None:
        self._name = template_reader(rule.name or "", readers.columns.cell)
        self._when = rule.when
        self._cell = readers.columns.cell(rule.when.column) if rule.when else None
        self._removes = rule.otherwise == "remove"

    def read(self, rows: Sequence[NumberedRow]) -> Iterator[Said]:
        cells = rows[0].cells
        name = self._name(cells)
        on = self._when is None or self._cell is None or self._when.matches(self._cell(cells))
        if name and (on or self._removes):
            yield "Tag Added" if on else "Tag Removed", {"tag": name}, None


class _Tags:
    def __init__(self, rule: TagRule, readers: Readers) -> None:
        self._cell = readers.columns.cell(rule.column or "")
        self._separator = rule.separator

    def read(self, rows: Sequence[NumberedRow]) -> Iterator[Said]:
        names = (name.strip() for name in self._cell(rows[0].cells).split(self._separator))
        for name in dict.fromkeys(names):
            if name:
                yield "Tag Added", {"tag": name}, None


def _folded(words: Iterable[str], event: str) -> dict[str, str]:
    return {word.casefold(): event for word in words}
