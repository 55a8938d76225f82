"""Builds messages from rows as a mapping says. Pure: the same rows give the same bytes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from headrace.contracts.ids import content_id
from headrace.importing.cells import Numbers
from headrace.importing.columns import BadRow, Columns
from headrace.importing.grouping import Survey, grouped, survey
from headrace.importing.mapping import Mapping
from headrace.importing.message import MessageBuilder
from headrace.importing.outcome import Outgoing, Rejection
from headrace.importing.rows import NumberedRow
from headrace.importing.statements import Statements
from headrace.importing.values import Readers

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Builder:
    """A mapping compiled for one file's header. Raises InvalidDefinition for columns the file does not have."""

    def __init__(self, mapping: Mapping, header: Sequence[str]) -> None:
        self._mapping = mapping
        self._columns = Columns(header, mapping.clean)
        self._readers = Readers(self._columns, Numbers(mapping.csv.decimal, mapping.csv.thousands))
        self._tests = [(self._columns.cell(v.when.column), v) for v in mapping.variants]
        self._compiled: dict[tuple[bool, ...], MessageBuilder] = {}
        self._used: set[int] = set()
        self._times: dict[int, int] = {}
        count = len(self._tests)
        for chosen in range(-1, count):  # compile each variant once, so that every missing column is told now
            self._message_builder(tuple(i == chosen for i in range(count)))
        self._statements = Statements(mapping, self._readers)
        names = mapping.receipt_columns
        self._receipt_of = self._columns.receipt_reader(names) if names else None
        self._columns.check()

    def survey(self, rows: Iterable[NumberedRow]) -> Survey:
        """The first pass over all rows of a file."""
        return survey(rows, self._receipt_of)

    def outcomes(self, rows: Iterable[NumberedRow], found: Survey) -> Iterator[Outgoing | Rejection]:
        """What becomes of the same rows, of which `found` was learnt."""
        for receipt in grouped(rows, self._receipt_of, found):
            yield from self.build(receipt)

    def build(self, rows: Sequence[NumberedRow]) -> list[Outgoing | Rejection]:
        """The messages for the rows of one receipt, the first of them for all the rows; or why there are none."""
        width, line, length = self._columns.width, rows[0].line, len(rows)
        clean = self._columns.cleaned
        for row in rows:
            if len(row.cells) != width:
                reason = f"has {len(row.cells)} cells, the header has {width}"
                return [Rejection(row.line, "", reason, rows=length)]
        rows = [NumberedRow(row.line, clean(row.cells)) for row in rows]
        first = rows[0].cells
        matched = tuple([variant.when.matches(cell(first)) for cell, variant in self._tests])
        try:
            message_id, message = self._message_builder(matched).build(rows)
            others = self._statements.of(rows, message)
        except BadRow as error:
            return [Rejection(error.line, error.column, str(error), rows=length)]
        if message_id is None:
            message_id, body = self._named(_encode(message))
        elif (digest := hash(message_id)) in self._used:
            reason = "another row of this file has the same message_id; name what tells them apart"
            return [Rejection(line, "", reason, message_id, length)]
        else:
            self._used.add(digest)
            message["messageId"] = message_id
            body = _encode(message)
        lane = _lane(message) or message_id
        sent: list[Outgoing | Rejection] = [Outgoing(line, length, lane, message_id, body)]
        if others:
            sent += [self._stated(line, lane, event) for event in others]
        return sent

    def _stated(self, line: int, lane: str, event: dict[str, Any]) -> Outgoing:
        return Outgoing(line, 0, lane, *self._named(_encode(event)))

    def _named(self, body: bytes) -> tuple[str, bytes]:
        """An id that follows from what a message says, and the message with it: rows may come in another order and
        among others. Of rows that say the same each is a message of its own."""
        digest = hash(body)
        number = self._times.get(digest, 0)
        self._times[digest] = number + 1
        identity = content_id("i", body.decode(), number)
        return identity, b'%b,"messageId":"%b"}' % (body[:-1], identity.encode())

    def _message_builder(self, matched: tuple[bool, ...]) -> MessageBuilder:
        builder = self._compiled.get(matched)
        if builder is None:
            message = self._mapping.message
            for applies, (_, variant) in zip(matched, self._tests, strict=True):
                message = message.patched(variant.set) if applies else message
            builder = self._compiled[matched] = MessageBuilder(message, self._mapping, self._readers)
        return builder


def _lane(message: dict[str, Any]) -> str | None:
    """What keeps one customer's messages together."""
    name = message.get("userId") or message.get("anonymousId")
    if name:
        return str(name)
    context = message.get("context", {})
    if external := context.get("externalIds"):
        return str(external[0]["id"])
    for traits in (message.get("traits", {}), context.get("traits", {})):
        if contact := traits.get("email") or traits.get("phone"):
            return str(contact)
    return None
