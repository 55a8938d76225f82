"""One variant of the message, compiled to functions over rows."""

from collections.abc import Sequence
from typing import Any

from headrace.importing.cells import BadCell, TextReader, instant_reader, template_columns, template_reader
from headrace.importing.columns import BadRow, Columns
from headrace.importing.grouping import NumberedRow
from headrace.importing.mapping import Mapping, Message
from headrace.importing.values import ReceiptReader, line_reader, receipt_reader


class MessageBuilder:
    """One variant of a mapping's message."""

    def __init__(self, message: Message, mapping: Mapping, columns: Columns) -> None:
        self._message = message
        self._id = template_reader(message.message_id, columns.cell)
        self._event = template_reader(message.event, columns.cell) if message.event else None
        stamp = message.timestamp
        self._time = (columns.cell(stamp.column), instant_reader(stamp.format, stamp.zone))
        self._user = _optional(message.user_id, columns)
        self._anonymous = _optional(message.anonymous_id, columns)
        self._external = [(x.type, template_reader(x.id, columns.cell)) for x in message.external_ids]
        identity = [message.user_id or "", message.anonymous_id or "", *(x.id for x in message.external_ids)]
        names = dict.fromkeys(name for text in identity for name in template_columns(text))
        self._same = [(name, columns.cell(name)) for name in names]
        self._objects = [
            (name, [(tuple(key.split(".")), receipt_reader(v, columns)) for key, v in values.items()])
            for name, values in (
                ("properties", message.properties),
                ("traits", message.traits),
                ("context", message.context),
            )
        ]
        self._items = mapping.items.name if mapping.items else None
        fields = mapping.items.fields if mapping.items else {}
        self._fields = [(key, line_reader(value, columns)) for key, value in fields.items()]

    def build(self, rows: Sequence[NumberedRow]) -> tuple[str, str, dict[str, Any]]:
        """(messageId, lane, the message). Raises BadRow."""
        first = rows[0]
        message_id = self._id(first.cells)
        if not message_id:
            raise BadRow(first.line, ", ".join(template_columns(self._message.message_id)), "is empty")
        self._check_same_customer(rows)
        message: dict[str, Any] = {"type": self._message.type, "messageId": message_id}
        self._identify(first, message)
        message["timestamp"] = self._timestamp(first)
        if self._event is not None and (event := self._event(first.cells)):
            message["event"] = event
        for name, readers in self._objects:
            if values := _nested(readers, rows):
                message.setdefault(name, {}).update(values)
        if self._items is not None:
            message.setdefault("properties", {})[self._items] = [self._item(row) for row in rows]
        return message_id, message.get("userId") or message.get("anonymousId") or message_id, message

    def _check_same_customer(self, rows: Sequence[NumberedRow]) -> None:
        for name, cell in self._same:
            expected = cell(rows[0].cells)
            for row in rows:
                if cell(row.cells) != expected:
                    raise BadRow(row.line, name, f"differs from line {rows[0].line} of the same receipt")

    def _identify(self, row: NumberedRow, message: dict[str, Any]) -> None:
        if self._user and (user := self._user(row.cells)):
            message["userId"] = user
        if self._anonymous and (anonymous := self._anonymous(row.cells)):
            message["anonymousId"] = anonymous
        external = [
            {"id": value, "type": kind, "collection": "users", "encoding": "none"}
            for kind, read in self._external
            if (value := read(row.cells))
        ]
        if external:
            message["context"] = {"externalIds": external}
        elif "userId" not in message and "anonymousId" not in message:
            raise BadRow(row.line, ", ".join(name for name, _ in self._same), "no identifier: all are empty")

    def _timestamp(self, row: NumberedRow) -> str:
        cell, read = self._time
        try:
            return read(cell(row.cells))
        except ValueError as error:
            raise BadRow(row.line, self._message.timestamp.column, str(error)) from error

    def _item(self, row: NumberedRow) -> dict[str, Any]:
        item = {}
        try:
            for key, read in self._fields:
                value = read(row.cells)
                if value is not None:
                    item[key] = value
        except BadCell as error:
            raise BadRow(row.line, error.column, str(error)) from error
        return item


def _optional(template: str | None, columns: Columns) -> TextReader | None:
    return template_reader(template, columns.cell) if template else None


def _nested(
    readers: Sequence[tuple[tuple[str, ...], ReceiptReader]], rows: Sequence[NumberedRow]
) -> dict[str, Any]:
    """The values under their dotted names; what is empty is left out."""
    result: dict[str, Any] = {}
    for path, read in readers:
        value = read(rows)
        if value is None:
            continue
        place = result
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return result
