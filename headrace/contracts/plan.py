"""Schema plans: which events a source sends and what stands in them. `docs/plans.md` explains them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.model_problems import model_problems, near, nearest
from headrace.contracts.segment_patterns import pattern_problem
from headrace.contracts.segment_values import PATH

PropertyType = Literal["string", "number", "integer", "boolean", "object", "array", "instant"]
TYPES = get_args(PropertyType)
Path = Annotated[str, StringConstraints(pattern=PATH, max_length=256)]
Scalar = bool | int | float | str
MAX_EVENTS = 1_000
MAX_PROPERTIES = 200
NAMED_BY_TYPE = ("identify", "group", "alias")
"""Events without a name of their own, which a plan names by their type. Their paths begin at the traits."""
_GUIDE = "see docs/plans.md"
_ALL_TYPES = f"the types are {', '.join(TYPES)}"
_MEANT = {"text": "string", "str": "string", "int": "integer", "float": "number", "decimal": "number"}
_MEANT |= {"bool": "boolean", "dict": "object", "list": "array", "datetime": "instant", "date": "instant"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_object(value: object) -> object:
    """`total: number` is short for `total: {type: number}`."""
    return {"type": value} if isinstance(value, str | list) else value


def _as_types(value: object) -> object:
    """One type or several. Pydantic's own words would list every branch."""
    types = value if isinstance(value, list) else [value]
    for name in types:
        if name not in TYPES:
            meant = nearest(str(name), [*TYPES, *_MEANT])
            hint = f"did you mean {_MEANT.get(meant, meant)}?" if meant else _ALL_TYPES
            raise ValueError(f"{name!r} is no type; {hint}")
    return types


class Property(_Model):
    """What a value must be; null is no value. `pattern` is searched, in RE2's syntax. Lengths are a text's
    characters or a list's items."""

    type: Annotated[list[PropertyType], Field(min_length=1), BeforeValidator(_as_types)] | None = None
    enum: list[Scalar] | None = Field(default=None, min_length=1, max_length=1_000)
    pattern: str | None = Field(default=None, max_length=1_000)
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _agrees(self) -> "Property":
        if self.pattern is not None and (problem := pattern_problem(self.pattern)):
            raise ValueError(f"pattern {problem}")
        for low, high in ((self.minimum, self.maximum), (self.min_length, self.max_length)):
            if low is not None and high is not None and low > high:
                raise ValueError("the least is greater than the most")
        return self


class EventPlan(_Model):
    """One event: what must be there, and what each value must be. Paths reach into objects and into each item of
    a list: `products[].price`."""

    required: list[Path] = Field(default=[], max_length=MAX_PROPERTIES)
    properties: dict[Path, Annotated[Property, BeforeValidator(_as_object)]] = Field(
        default={}, max_length=MAX_PROPERTIES
    )


class PlanDefinition(_Model):
    """The plan of one source. `unplanned`: what becomes of track events that it does not name; `on_violation`: of
    those that are not as it says."""

    kind: Literal["plan"]
    source: str = Field(min_length=1, max_length=64)
    unplanned: Literal["allow", "count", "block"] = "allow"
    on_violation: Literal["count", "block"] = "count"
    events: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], EventPlan] = Field(
        min_length=1, max_length=MAX_EVENTS
    )


def parse_plan(document: object) -> PlanDefinition:
    """Raises InvalidDefinition naming each wrong place."""
    try:
        plan = PlanDefinition.model_validate(document)
    except ValidationError as error:
        problems = model_problems(error, (PlanDefinition, EventPlan, Property), _GUIDE)
        raise InvalidDefinition([_retold(problem) for problem in problems]) from error
    if problems := list(_doubtful(plan)):
        raise InvalidDefinition(problems)
    return plan


def _retold(problem: Problem) -> Problem:
    """The pattern of a path is no help to who broke it."""
    if "should match pattern" in problem.reason:
        return Problem(problem.path, "is no path", "write total, address.city or products[].price")
    return problem


def _doubtful(plan: PlanDefinition) -> Iterator[Problem]:
    """What can be read and yet cannot be meant."""
    for name, event in plan.events.items():
        if (kind := near(name.lower(), NAMED_BY_TYPE)) and name not in NAMED_BY_TYPE and name.lower() in kind:
            yield Problem(f"events.{name}", "is the name of no event", kind)
        for path, wanted in event.properties.items():
            place = f"events.{name}.properties.{path}"
            if path.startswith(("properties.", "traits.")):
                hint = f"write {path.partition('.')[2]}"
                yield Problem(place, "begins where the paths are already", hint)
            if wanted.enum is not None and wanted.type and not any(_fits(one, wanted.type) for one in wanted.enum):
                yield Problem(f"{place}.enum", f"has no value of the type {', '.join(wanted.type)}", _GUIDE)


def _fits(value: Any, types: list[PropertyType]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, str):
        return "string" in types or "instant" in types
    return "number" in types or ("integer" in types and isinstance(value, int))
