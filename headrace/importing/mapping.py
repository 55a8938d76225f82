"""The mapping file: how the rows of a CSV become Segment messages. `docs/importing.md` explains it."""

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from headrace.contracts.documents import load_document
from headrace.contracts.errors import InvalidDefinition, Problem

MessageType = Literal["track", "identify", "page", "screen", "group", "alias"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvFormat(Model):
    """How the file is written. A byte order mark is skipped."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: str = "utf-8-sig"


class Clean(Model):
    """What is cut from a column's cells before anything else looks at them; spaces around always are."""

    strip_prefix: str = ""
    strip_suffix: str = ""


class Column(Model):
    """A cell, read as a type. An empty cell leaves the field out, unless there is a `default`."""

    column: str
    type: Literal["text", "number", "integer", "boolean", "instant"] = Field(default="text", alias="as")
    default: str | None = None
    format: str = "iso"
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return checked_zone(zone)


class Constant(Model):
    """The same value in every message."""

    value: Any


class Sum(Model):
    """The sum over the receipt's lines of the product of these columns, exact."""

    sum: list[str] = Field(min_length=1)


class Count(Model):
    """The number of lines of the receipt."""

    count: Literal["lines"]


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return "template"
    keys = value if isinstance(value, dict) else vars(value)
    return next((name for name in ("column", "value", "sum", "count") if name in keys), "template")


Value = Annotated[
    Annotated[str, Tag("template")]
    | Annotated[Column, Tag("column")]
    | Annotated[Constant, Tag("value")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Count, Tag("count")],
    Discriminator(_shape),
]


class Timestamp(Model):
    """When it happened. `format` is `iso`, `epoch_s`, `epoch_ms` or a strptime pattern; `zone` is the wall
    clock's, used where the cell names none."""

    column: str
    format: str = "iso"
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return checked_zone(zone)


class ExternalId(Model):
    type: str = Field(min_length=1)
    id: str


class MessagePatch(Model):
    """The fields of a message that a variant replaces. `properties`, `traits` and `context` are merged by name."""

    type: MessageType | None = None
    event: str | None = None
    message_id: str | None = None
    timestamp: Timestamp | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: list[ExternalId] | None = None
    properties: dict[str, Value] | None = None
    traits: dict[str, Value] | None = None
    context: dict[str, Value] | None = None


class Message(Model):
    """One message. Texts are templates over columns (`invoice:{InvoiceNo}`); one with an empty column is left
    out. `message_id` must name what makes the row unique: it is why an import may be repeated."""

    type: MessageType = "track"
    event: str | None = None
    message_id: str = Field(min_length=1)
    timestamp: Timestamp
    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: list[ExternalId] = []
    properties: dict[str, Value] = {}
    traits: dict[str, Value] = {}
    context: dict[str, Value] = {}

    def patched(self, patch: MessagePatch) -> "Message":
        """This message with the patch's fields in place of its own."""
        fields: dict[str, Any] = dict(self)
        for name in patch.model_fields_set:
            new = getattr(patch, name)
            old = fields[name]
            fields[name] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
        return Message.model_validate(fields)


class Items(Model):
    """The lines of a receipt as a list of objects in `properties.<name>`."""

    name: str = "products"
    fields: dict[str, Value] = Field(min_length=1)

    @field_validator("fields")
    @classmethod
    def _line_values(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if any(isinstance(value, Sum | Count) for value in fields.values()):
            raise ValueError("sum and count stand for a whole receipt: put them under message.properties")
        return fields


class When(Model):
    """A test on a cell of the (receipt's first) line. Exactly one operator."""

    column: str
    empty: bool | None = None
    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    def matches(self, cell: str) -> bool:
        if self.empty is not None:
            return (cell == "") is self.empty
        if self.equals is not None:
            return cell == self.equals
        if self.starts_with is not None:
            return cell.startswith(self.starts_with)
        return cell.endswith(self.ends_with or "")

    def model_post_init(self, context: Any) -> None:
        if len(self.model_fields_set - {"column"}) != 1:
            raise ValueError("give exactly one of empty, equals, starts_with, ends_with")


class Variant(Model):
    when: When
    set: MessagePatch


class Mapping(Model):
    """A whole mapping file. Variants apply in order; every one whose `when` matches changes the message."""

    kind: Literal["import"]
    csv: CsvFormat = CsvFormat()
    clean: dict[str, Clean] = {}
    group_by: str | None = None
    message: Message
    items: Items | None = None
    variants: list[Variant] = []


def checked_zone(zone: str) -> str:
    """The zone, if the time zone database knows it."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{zone!r} is no IANA time zone; write e.g. Europe/Prague") from error
    return zone


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
        return Mapping.model_validate(document)
    except ValidationError as error:
        raise InvalidDefinition(
            [Problem(".".join(map(str, e["loc"])), e["msg"], "see docs/importing.md") for e in error.errors()]
        ) from error
