"""Builds messages from rows as a mapping says. Pure: the same rows give the same bytes."""

from collections.abc import Sequence

import msgspec

from headrace.importing.columns import BadRow, Columns
from headrace.importing.grouping import NumberedRow, Row
from headrace.importing.mapping import Mapping
from headrace.importing.message import MessageBuilder
from headrace.importing.outcome import Outgoing, Rejection

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Builder:
    """A mapping compiled for one file's header. Raises InvalidDefinition for columns the file does not have."""

    def __init__(self, mapping: Mapping, header: Sequence[str]) -> None:
        self._mapping = mapping
        self._columns = Columns(header, mapping.clean)
        self._tests = [(self._columns.cell(v.when.column), v) for v in mapping.variants]
        self._compiled: dict[tuple[bool, ...], MessageBuilder] = {}
        self._seen: set[int] = set()
        count = len(self._tests)
        for chosen in range(-1, count):  # compile each variant once, so that every missing column is told now
            self._message_builder(tuple(i == chosen for i in range(count)))
        group_by = mapping.group_by
        self._receipt = self._columns.cell(group_by) if group_by else None
        self._columns.check()

    def receipt_of(self, row: Row) -> str | None:
        """The receipt a row belongs to; None when it stands alone."""
        if self._receipt is None or len(row) != self._columns.width:
            return None
        return self._receipt(row) or None

    def build(self, rows: Sequence[NumberedRow]) -> Outgoing | Rejection:
        """The message for the rows of one receipt, or why there is none."""
        first = rows[0]
        for row in rows:
            if len(row.cells) != self._columns.width:
                reason = f"has {len(row.cells)} cells, the header has {self._columns.width}"
                return Rejection(row.line, "", reason, rows=len(rows))
        matched = tuple(variant.when.matches(cell(first.cells)) for cell, variant in self._tests)
        try:
            message_id, lane, message = self._message_builder(matched).build(rows)
        except BadRow as error:
            return Rejection(error.line, error.column, str(error), rows=len(rows))
        digest = hash(message_id)
        if digest in self._seen:
            reason = "another row of this file has the same message_id; name what tells them apart"
            return Rejection(first.line, "", reason, message_id, len(rows))
        self._seen.add(digest)
        return Outgoing(first.line, len(rows), lane, message_id, _encode(message))

    def _message_builder(self, matched: tuple[bool, ...]) -> "MessageBuilder":
        if matched not in self._compiled:
            message = self._mapping.message
            for applies, (_, variant) in zip(matched, self._tests, strict=True):
                message = message.patched(variant.set) if applies else message
            self._compiled[matched] = MessageBuilder(message, self._mapping, self._columns)
        return self._compiled[matched]
