"""Computed traits as people define them (docs/adr/0013-computed-traits.md): `parse_trait` is the way in."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints, ValidationError

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment_limits import MAX_CHARACTERS
from headrace.contracts.segment_lint import MAX_PROBLEMS, too_long
from headrace.contracts.segment_problems import value_problems
from headrace.contracts.segment_shapes import shape_problems
from headrace.contracts.segment_values import TRAIT_KEY, Model, storable
from headrace.contracts.trait_figures import FIGURES, EventFigure, SessionFigure, TraitValue

SLOT = "trait:"
"""Before a trait's id, where definitions of all kinds are kept by key: no segment's id has a colon."""

TraitKey = Annotated[str, StringConstraints(pattern=TRAIT_KEY)]


class TraitDefinition(Model):
    """A trait that is computed of what the customer did: `computed.<id>` in segments and templates."""

    kind: Literal["trait"] = "trait"
    id: TraitKey
    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]
    value: TraitValue

    @property
    def slot(self) -> str:
        return SLOT + self.id

    @property
    def figure(self) -> EventFigure | SessionFigure:
        found = self.value.event or self.value.sessions
        assert found is not None, "the model has one of both"
        return found

    def segments(self) -> tuple[()]:
        """None: it is asked for by segments, and asks for none."""
        return ()

    def canonical(self) -> dict[str, Any]:
        """The definition as JSON data, defaults left out: equal for equal definitions, parses to itself."""
        body = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return {**body, "kind": self.kind}


def parse_trait(document: object) -> TraitDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    problems = list(islice(_shape(document), MAX_PROBLEMS))
    if not isinstance(document, Mapping) or too_long(document):
        raise InvalidDefinition(problems)
    try:
        definition = TraitDefinition.model_validate(document)
    except ValidationError as error:
        problems = [*problems, *value_problems(error, document, problems, kinds=0)][:MAX_PROBLEMS]
    else:
        if not problems:
            return definition
    raise InvalidDefinition(problems)


def _shape(document: object) -> Iterator[Problem]:
    if not isinstance(document, Mapping):
        yield Problem("", "must be an object", "a computed trait has kind, id, name and value")
        return
    if too_long(document):
        yield Problem("", f"has more than {MAX_CHARACTERS} characters", "ask for fewer events or values")
        return
    yield from shape_problems("", TraitDefinition, document)
    value = document.get("value")
    event = value.get("event") if isinstance(value, Mapping) else None
    if isinstance(event, Mapping):
        used = [name for name in FIGURES if name in event]
        if len(used) > 1:
            yield Problem("value.event", f"has more than one figure: {' and '.join(used)}", "make a trait of each")
