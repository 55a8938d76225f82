"""One variant of the message, compiled to functions over rows."""

from collections.abc import Callable, Sequence
from typing import Any

from headrace.importing.cells import BadCell
from headrace.importing.columns import BadRow
from headrace.importing.mapping import Mapping, Message
from headrace.importing.mapping_values import Timestamp
from headrace.importing.rows import NumberedRow, Row
from headrace.importing.templates import template_columns, template_reader
from headrace.importing.times import instant_reader
from headrace.importing.values import Readers

InstantOf = Callable[[NumberedRow], str | None]


class MessageBuilder:
    """One variant of a mapping's message."""

    def __init__(self, message: Message, mapping: Mapping, readers: Readers) -> None:
        cell = readers.columns.cell
        self._type = message.type
        self._id_columns = ", ".join(template_columns(message.message_id or ""))
        self._id = template_reader(message.message_id, cell) if message.message_id else None
        self._event = template_reader(message.event, cell) if message.event else None
        self._time = instant_of(message.timestamp, readers)
        self._ids = [
            (field, template_reader(text, cell))
            for field, text in (("userId", message.user_id), ("anonymousId", message.anonymous_id))
            if text
        ]
        self._contacts = [
            (trait, template_reader(text, cell))
            for trait, text in (("email", message.email), ("phone", message.phone))
            if text
        ]
        self._external = [(entry.type, template_reader(entry.id, cell)) for entry in message.external_ids]
        names = dict.fromkeys(name for text in _identity(message) for name in template_columns(text))
        self._identity = ", ".join(names)
        self._same = [(name, cell(name)) for name in names]
        self._objects = [
            (name, readers.nested(values))
            for name in ("properties", "traits", "context")
            if (values := getattr(message, name))
        ]
        items = mapping.items
        self._items = items.name if items else None
        self._fields = [(name, readers.of_line(value)) for name, value in items.fields.items()] if items else []
        self._is_item = (cell(items.when.column), items.when.matches) if items and items.when else None

    def build(self, rows: Sequence[NumberedRow]) -> tuple[str | None, dict[str, Any]]:
        """(messageId, if the mapping says one, and the message without it) of a receipt's cleaned rows. Raises
        BadRow."""
        first = rows[0]
        message_id = None
        if self._id is not None:
            message_id = self._id(first.cells)
            if not message_id:
                raise BadRow(first.line, self._id_columns, "is empty")
        if len(rows) > 1:
            self._check_same_customer(rows)
        message: dict[str, Any] = {"type": self._type}
        if timestamp := self._time(first):
            message["timestamp"] = timestamp
        if self._event is not None and (event := self._event(first.cells)):
            message["event"] = event
        for name, read in self._objects:
            if values := read(rows):
                message[name] = values
        self._identify(first, message)
        if self._items is not None:
            message.setdefault("properties", {})[self._items] = self._lines(rows)
        return message_id, message

    def _check_same_customer(self, rows: Sequence[NumberedRow]) -> None:
        for name, cell in self._same:
            expected = cell(rows[0].cells)
            for row in rows:
                if cell(row.cells) != expected:
                    raise BadRow(row.line, name, "differs from the first line of the same receipt")

    def _identify(self, row: NumberedRow, message: dict[str, Any]) -> None:
        known = False
        for field, read in self._ids:
            if value := read(row.cells):
                message[field] = value
                known = True
        external = [
            {"id": value, "type": kind, "collection": "users", "encoding": "none"}
            for kind, read in self._external
            if (value := read(row.cells))
        ]
        if external:
            message.setdefault("context", {})["externalIds"] = external
        contacts = {trait: value for trait, read in self._contacts if (value := read(row.cells))}
        if contacts:
            holder = message if self._type == "identify" else message.setdefault("context", {})
            holder["traits"] = {**holder.get("traits", {}), **contacts}
        if not (known or external or contacts) and not _named_by_traits(message):
            raise BadRow(row.line, self._identity, "no identifier: all are empty")

    def _lines(self, rows: Sequence[NumberedRow]) -> list[dict[str, Any]]:
        if self._is_item is None:
            return [self._item(row) for row in rows]
        cell, matches = self._is_item
        return [self._item(row) for row in rows if matches(cell(row.cells))]

    def _item(self, row: NumberedRow) -> dict[str, Any]:
        cells: Row = row.cells
        try:
            return {name: value for name, read in self._fields if (value := read(cells)) is not None}
        except BadCell as error:
            raise BadRow(row.line, error.column, str(error)) from error


def instant_of(timestamp: Timestamp | None, readers: Readers) -> InstantOf:
    """Reads when something happened; None where the mapping does not say. It raises BadRow."""
    if timestamp is None:
        return lambda row: None
    cells = [readers.columns.cell(name) for name in timestamp.columns]
    read = instant_reader(timestamp.format, timestamp.zone)
    names = ", ".join(timestamp.columns)

    def instant(row: NumberedRow) -> str:
        text = cells[0](row.cells) if len(cells) == 1 else " ".join([cell(row.cells) for cell in cells])
        try:
            return read(text)
        except ValueError as error:
            raise BadRow(row.line, names, str(error)) from error

    return instant


def _identity(message: Message) -> list[str]:
    named = [message.user_id, message.anonymous_id, message.email, message.phone]
    return [text for text in named if text] + [entry.id for entry in message.external_ids]


def _named_by_traits(message: dict[str, Any]) -> bool:
    traits = {**message.get("context", {}).get("traits", {}), **message.get("traits", {})}
    return bool(traits.get("email") or traits.get("phone"))
