"""Segment definitions (DESIGN §6): one language for API, CLI and console, no string expressions.

`parse_segment` is the way in; it answers a bad definition with every problem's path, reason and suggestion.
`canonical` is the way to store and compare one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.segment_conditions import LIST_TAG, All, Condition, Not, Tagged, TagTest
from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_limits import MAX_STAGES
from headrace.contracts.segment_lint import MAX_PROBLEMS, lint
from headrace.contracts.segment_problems import value_problems
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

    @field_validator("stages")
    @classmethod
    def _distinct(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        ids = [stage.id for stage in stages]
        if len(set(ids)) != len(ids):
            twice = next(key for key in ids if ids.count(key) > 1)
            raise Refused(f"has two stages {twice}", "give each stage an id of its own")
        return stages

    @model_validator(mode="after")
    def _ids_fit(self) -> "StagesDefinition":
        if any(len(f"{self.id}-{stage.id}") > 64 for stage in self.stages):
            reason = "has a stage whose segment would have an id of more than 64 characters"
            raise Refused(reason, "shorten the id of the stages, or of the stage")
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
KINDS: Mapping[str, type[Model]] = {
    "segment": SegmentDefinition,
    "list": ListDefinition,
    "stages": StagesDefinition,
}

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
    linted = lint(document, KINDS, Stage)
    problems = linted.problems
    if linted.legible:
        try:
            definition = _definitions.validate_python(document)
        except ValidationError as error:
            problems = [*problems, *value_problems(error, document, problems)][:MAX_PROBLEMS]
        else:
            if not problems:
                return definition
    raise InvalidDefinition(problems)
