"""The mapping file: how the rows of a CSV become Segment messages. `docs/importing.md` explains it."""

import codecs
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from headrace.contracts.documents import load_document
from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.model_problems import model_problems
from headrace.importing.mapping_values import (
    Clean,
    Column,
    ConsentRule,
    Constant,
    Count,
    ExternalId,
    Model,
    Sum,
    TagRule,
    Timestamp,
    Value,
    When,
    unclashing,
)

MessageType = Literal["track", "identify", "page", "screen", "group", "alias"]
MAX_VARIANTS = 50
_NOT_OF_FILES = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "utf_7"}
)
_GUIDE = "see docs/importing.md"


def _known_encoding(name: str) -> str:
    try:
        found = codecs.lookup(name).name.replace("-", "_")
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError):
        found = "undefined"
    if found in _NOT_OF_FILES:
        raise ValueError(f"{name!r} is no encoding of texts; write e.g. utf-8, cp1250 or utf-16")
    return name


class CsvFormat(Model):
    """How the file is written. A byte order mark is skipped. `columns` names the columns of a file that has no
    header line. `decimal` and `thousands` are the marks in its numbers."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8-sig"
    columns: list[str] | None = Field(default=None, min_length=1)
    decimal: Literal[".", ","] = "."
    thousands: Literal["", " ", ".", ",", "'"] = ""

    @field_validator("delimiter", "quote")
    @classmethod
    def _printable(cls, mark: str) -> str:
        if mark in "\r\n\0":
            raise ValueError("must be a character that can stand in a line")
        return mark

    def model_post_init(self, context: Any) -> None:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands cannot be the same mark")
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote cannot be the same mark")


class MessagePatch(Model):
    """The fields of a message that a variant replaces. `properties`, `traits` and `context` are merged by name."""

    type: MessageType | None = None
    event: str | None = None
    message_id: str | None = None
    timestamp: Timestamp | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    phone: str | None = None
    external_ids: list[ExternalId] | None = None
    properties: dict[str, Value] | None = None
    traits: dict[str, Value] | None = None
    context: dict[str, Value] | None = None


class Message(Model):
    """One message. Texts are templates over columns (`invoice:{InvoiceNo}`); one with an empty column is left
    out. `message_id` names what makes the row unique: it is why an import may be repeated. Without one it follows
    from what the message says."""

    type: MessageType = "track"
    event: str | None = None
    message_id: str | None = Field(default=None, min_length=1)
    timestamp: Timestamp | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    phone: str | None = None
    external_ids: list[ExternalId] = Field(default=[])
    properties: dict[str, Value] = Field(default={})
    traits: dict[str, Value] = Field(default={})
    context: dict[str, Value] = Field(default={})

    @model_validator(mode="after")
    def _can_be_built(self) -> "Message":
        if self.timestamp is None and self.type not in {"identify", "group", "alias"}:
            raise ValueError("timestamp is missing: name the column that says when it happened")
        for values in (self.properties, self.traits, self.context):
            unclashing(values)
        if "traits" in self.context:
            raise ValueError("context.traits is no single value; write traits.email, traits.city and so on")
        return self

    def patched(self, patch: MessagePatch) -> "Message":
        """This message with the patch's fields in place of its own."""
        fields: dict[str, Any] = dict(self)
        for name in patch.model_fields_set:
            new = getattr(patch, name)
            old = fields[name]
            fields[name] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
        return Message.model_validate(fields)


class Items(Model):
    """The lines of a receipt as a list of objects in `properties.<name>`. `when`: only those lines are."""

    name: str = "products"
    when: When | None = None
    fields: dict[str, Value] = Field(min_length=1)

    @field_validator("fields")
    @classmethod
    def _line_values(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if any(isinstance(value, Sum | Count) for value in fields.values()):
            raise ValueError("sum and count stand for a whole receipt: put them under message.properties")
        return fields


class Variant(Model):
    when: When
    set: MessagePatch


class Mapping(Model):
    """A whole mapping file. Variants apply in order; every one whose `when` matches changes the message."""

    kind: Literal["import"]
    csv: CsvFormat = CsvFormat()
    clean: dict[str, Clean] = Field(default={})
    group_by: str | list[str] | None = Field(default=None, min_length=1)
    message: Message
    items: Items | None = None
    variants: list[Variant] = Field(default=[], max_length=MAX_VARIANTS)
    consents: list[ConsentRule] = Field(default=[])
    tags: list[TagRule] = Field(default=[])

    @property
    def receipt_columns(self) -> list[str]:
        """What names a receipt; empty when every row stands alone."""
        if self.group_by is None:
            return []
        return [self.group_by] if isinstance(self.group_by, str) else self.group_by

    @model_validator(mode="after")
    def _names_receipts(self) -> "Mapping":
        if self.receipt_columns and self.message.message_id is None:
            raise ValueError(
                "message.message_id is missing: with group_by it says what makes a receipt unique, e.g. "
                '"pos:{Store}:{Receipt}"'
            )
        return self


_MODELS = (Mapping, CsvFormat, Message, Items, Variant, Clean, Column, Constant, Sum, Count, Timestamp, ExternalId)
_RULES = (When, ConsentRule, TagRule)


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file; raises InvalidDefinition naming each wrong place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDefinition([Problem(str(path), f"cannot be read: {error}")]) from error
    return parse_mapping(load_document(text))


def parse_mapping(document: object) -> Mapping:
    """Check a mapping document; raises InvalidDefinition naming each wrong place."""
    try:
        mapping = Mapping.model_validate(document)
        for variant in mapping.variants:
            mapping.message.patched(variant.set)
    except ValidationError as error:
        raise InvalidDefinition(model_problems(error, (*_MODELS, *_RULES), _GUIDE)) from error
    return mapping
