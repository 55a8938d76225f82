"""Segment definitions (DESIGN §6): one language for API, CLI and console, no string expressions.

`parse_segment` is the way in; it answers a bad definition with every problem's path, reason and suggestion.
`canonical` is the way to store and compare one.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment_conditions import LIST_TAG, All, Condition, Not, Tagged, TagTest
from headrace.contracts.segment_limits import MAX_STAGES
from headrace.contracts.segment_lint import lint
from headrace.contracts.segment_values import Key, Model, storable

Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]


class _Definition(Model):
    id: Key
    name: Name

    def canonical(self) -> dict[str, Any]:
        """The definition as JSON data, defaults left out: equal for equal definitions, parses to itself."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True) | {
            "kind": self.kind  # type: ignore[attr-defined]  # every kind has one
        }


class SegmentDefinition(_Definition):
    """A segment: the customers for whom `when` is true, at every instant."""

    kind: Literal["segment"] = "segment"
    when: Condition

    def segments(self) -> tuple["SegmentDefinition", ...]:
        return (self,)


class ListDefinition(_Definition):
    """A static list: its members are put on it and taken off by API or import."""

    kind: Literal["list"] = "list"

    def segments(self) -> tuple[SegmentDefinition, ...]:
        when = Tagged(tag=TagTest(name=f"{LIST_TAG}{self.id}"))
        return (SegmentDefinition(id=self.id, name=self.name, when=when),)


class Stage(Model):
    id: Key
    name: Name | None = None
    when: Condition


class StagesDefinition(_Definition):
    """Ordered, exclusive segments: a customer is in the first stage whose `when` is true. The segment of a stage
    is called `stages-stage`; a move is an exit and an entry with one cause."""

    kind: Literal["stages"] = "stages"
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES, strict=False)]

    @model_validator(mode="after")
    def _distinct(self) -> "StagesDefinition":
        ids = [stage.id for stage in self.stages]
        if len(set(ids)) != len(ids):
            raise ValueError("two stages have the same id")
        if any(len(f"{self.id}-{key}") > 64 for key in ids):
            raise ValueError("the ids of the stages and of one stage have together at most 63 characters")
        return self

    def segments(self) -> tuple[SegmentDefinition, ...]:
        found: list[SegmentDefinition] = []
        before: list[Condition] = []
        for stage in self.stages:
            when = All(all=(*before, stage.when)) if before else stage.when
            found.append(
                SegmentDefinition(
                    id=f"{self.id}-{stage.id}", name=f"{self.name}: {stage.name or stage.id}", when=when
                )
            )
            before.append(Not.model_validate({"not": stage.when}))
        return tuple(found)


Definition = SegmentDefinition | ListDefinition | StagesDefinition
"""`segments()` are the segments that it defines."""

_definitions: TypeAdapter[Definition] = TypeAdapter(
    Annotated[
        Annotated[SegmentDefinition, Tag("segment")]
        | Annotated[ListDefinition, Tag("list")]
        | Annotated[StagesDefinition, Tag("stages")],
        Discriminator(lambda value: value.get("kind", "segment") if isinstance(value, dict) else value.kind),
    ]
)


def parse_segment(document: object) -> Definition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    problems = lint(document)
    if problems:
        raise InvalidDefinition(problems)
    try:
        return _definitions.validate_python(document)
    except ValidationError as error:
        raise InvalidDefinition(list(_problems(error, document))) from error


_REASONS = {
    "string_pattern_mismatch": "is not written as it must be",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "too_short": "needs at least one item",
    "string_too_short": "is empty",
    "missing": "is missing",
}
_SUGGESTIONS = {
    "string_pattern_mismatch": "ids are 1 to 64 of a-z, 0-9 and -; paths look like properties.products[].price",
    "string_type": "put it in quotes",
    "tuple_type": "write a list: [a, b]",
    "bool_type": "write true or false",
    "missing": "add it",
}


def _problems(error: ValidationError, document: object) -> Iterator[Problem]:
    details = [(".".join(map(str, _written(detail["loc"], document))), detail) for detail in error.errors()]
    for path, detail in details:
        if detail["type"] == "too_short" and any(other.startswith(f"{path}.") for other, _ in details):
            continue  # only because its items are wrong
        reason = _REASONS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        yield Problem(path, reason[:1].lower() + reason[1:], _SUGGESTIONS.get(detail["type"], ""))


def _written(location: tuple[int | str, ...], document: object) -> Iterator[int | str]:
    """The part of pydantic's location that is in the document: it also names union branches."""
    node: Any = document
    for part in location:
        inside = (
            part in node if isinstance(node, dict) else isinstance(node, list | tuple) and isinstance(part, int)
        )
        if inside and not (isinstance(part, int) and part >= len(node)):
            node = node[part]
            yield part
