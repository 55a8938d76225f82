"""What a mapping says about single values: where in a row each stands and how it is read."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_zone(zone: str) -> str:
    """The zone, if the time zone database knows it."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{zone!r} is no IANA time zone; write e.g. Europe/Prague") from error
    return zone


def _known_format(format: str) -> str:
    try:
        datetime.strptime("", format)
    except (ValueError, IndexError, re.error) as error:
        if "does not match" not in str(error):
            raise ValueError(f"{format!r} is no strptime pattern: {error}") from error
    return format


def _sendable(value: Any) -> Any:
    try:
        msgspec.json.encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("cannot be sent as JSON; put it in quotes") from error
    return value


def unclashing(values: dict[str, Any]) -> dict[str, Any]:
    """Names with dots, none of which stands in another's way. Raises ValueError."""
    for name in values:
        parts = name.split(".")
        for end in range(1, len(parts)):
            if (above := ".".join(parts[:end])) in values:
                raise ValueError(f"{above} is a value and has {name} in it as well; give one of them another name")
    return values


Format = Annotated[str, AfterValidator(_known_format)]
Sendable = Annotated[Any, AfterValidator(_sendable)]
Zone = Annotated[str, AfterValidator(checked_zone)]
CellType = Literal["text", "number", "integer", "boolean", "instant", "date", "currency"]


class Clean(Model):
    """What is cut from a column's cells before anything else looks at them; spaces around always are."""

    strip_prefix: str = ""
    strip_suffix: str = ""


class Column(Model):
    """A cell, read as a type, or looked up in `map`. An empty cell leaves the field out, unless there is a
    `default`."""

    column: str
    type: CellType = Field(default="text", alias="as")
    default: str | None = None
    format: Format = "iso"
    zone: Zone = "UTC"
    map: dict[str, Sendable] | None = Field(default=None, min_length=1)


class Constant(Model):
    """The same value in every message."""

    value: Sendable


class Sum(Model):
    """The sum over the receipt's lines of the product of these columns, exact."""

    sum: list[str] = Field(min_length=1)


class Count(Model):
    """The number of lines of the receipt."""

    count: Literal["lines"]


def _shape(value: Any) -> str:
    if isinstance(value, Model):
        value = value.model_fields_set
    names = value if isinstance(value, dict | set) else ()
    return next((name for name in ("column", "value", "sum", "count") if name in names), "template")


Value = Annotated[
    Annotated[str, Tag("template")]
    | Annotated[Column, Tag("column")]
    | Annotated[Constant, Tag("value")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Count, Tag("count")],
    Discriminator(_shape),
]


class Timestamp(Model):
    """When it happened. `column` may be several, which are joined by a space (a date and a time). `format` is
    `iso`, `epoch_s`, `epoch_ms` or a strptime pattern; `zone` is the wall clock's, used where the cell names
    none."""

    column: str | Annotated[list[str], Field(min_length=1)]
    format: Format = "iso"
    zone: Zone = "UTC"

    @property
    def columns(self) -> list[str]:
        return [self.column] if isinstance(self.column, str) else self.column


class ExternalId(Model):
    type: str = Field(min_length=1)
    id: str


class When(Model):
    """A test on a cell of the (receipt's first) line. Exactly one operator."""

    column: str
    empty: bool | None = None
    equals: str | None = None
    one_of: list[str] | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    def matches(self, cell: str) -> bool:
        if self.empty is not None:
            return (cell == "") is self.empty
        if self.equals is not None:
            return cell == self.equals
        if self.one_of is not None:
            return cell in self.one_of
        if self.starts_with is not None:
            return cell.startswith(self.starts_with)
        return cell.endswith(self.ends_with or "")

    def model_post_init(self, context: Any) -> None:
        if len(self.model_fields_set - {"column"}) != 1:
            raise ValueError("give exactly one of empty, equals, one_of, starts_with, ends_with")


class ConsentRule(Model):
    """A cell that says whether the customer agreed. An empty one says nothing; one of neither list is an error."""

    channel: str = Field(min_length=1)
    column: str
    granted: list[str] = Field(default=["true", "yes", "1"], min_length=1)
    withdrawn: list[str] = ["false", "no", "0"]
    timestamp: Timestamp | None = None
    properties: dict[str, Value] = Field(default={})

    @field_validator("properties")
    @classmethod
    def _own_words(cls, properties: dict[str, Any]) -> dict[str, Any]:
        if "channel" in properties:
            raise ValueError("channel stands beside properties, not in it")
        return unclashing(properties)


class TagRule(Model):
    """A tag by a test, or the tags that a cell lists. `otherwise: remove` takes it off where the test fails."""

    name: str | None = None
    when: When | None = None
    otherwise: Literal["keep", "remove"] = "keep"
    column: str | None = None
    separator: str = Field(default=",", min_length=1)

    def model_post_init(self, context: Any) -> None:
        if (self.name is None) is (self.column is None) or (self.when is not None and self.name is None):
            raise ValueError("give name, with when or without, or else column with its separator")
        if self.otherwise == "remove" and self.when is None:
            raise ValueError("otherwise needs a when")
