"""Which rows of a customer can matter to a condition."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from headrace.contracts.segment_conditions import (
    Condition,
    Consent,
    EventCondition,
    Geo,
    InSegment,
    Message,
    Rfm,
    Sequence,
    Tagged,
    Trait,
    children,
    response_events,
)
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_figures import SessionFigure
from headrace.contracts.trait_references import computed_id
from services.segmenter.batch.evaluation import World

What = Literal["traits", "consents", "tags", "timezone", "location", "everything"]
_ZONED = frozenset({"within_last", "older_than", "within_next", "anniversary"})


@dataclass(frozen=True, slots=True)
class Needs:
    """Events of these `names`, and rows of any type that say something about `what`: traits, consents or tags that
    they change, the timezone or location in their context, or all (`everything`). Merges, tombstones and erasures
    always matter."""

    names: frozenset[str] = frozenset()
    what: frozenset[What] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.names | other.names, self.what | other.what)


def needs(node: Condition, world: World) -> Needs:
    """With those of the segments that it asks for."""
    found = _own(node, world)
    for child in children(node):
        found |= needs(child, world)
    if isinstance(node, InSegment) and node.segment.id not in world.frozen:
        definition = world.definitions.get(node.segment.id)
        found |= Needs() if definition is None else needs(definition.when, world)
    return found


def needs_of_trait(trait: TraitDefinition) -> Needs:
    """Of a computed trait."""
    figure = trait.figure
    return Needs(what=frozenset({"everything"})) if isinstance(figure, SessionFigure) else _named(figure.name)


def _own(node: Condition, world: World) -> Needs:
    match node:
        case EventCondition():
            return _named(node.event.name)
        case Sequence():
            test = node.sequence
            steps = [*test.steps, *[step for step in (test.then, test.then_not) if step is not None]]
            return _named(name for step in steps for name in step.event)
        case Rfm():
            return _named(node.rfm.event)
        case Message():
            return _named(response_events(node.message.did))
        case Trait():
            zoned = node.trait.operator[0] in _ZONED
            if (key := computed_id(node.trait.name)) is not None:
                own = needs_of_trait(world.computed[key]) if key in world.computed else Needs()
                return own | Needs(what=frozenset({"traits", "timezone"} if zoned else ()))
            return Needs(what=frozenset({"traits", "timezone"} if zoned else {"traits"}))
        case Consent():
            return Needs(what=frozenset({"consents"}))
        case Tagged():
            return Needs(what=frozenset({"tags"}))
        case Geo():
            return Needs(what=frozenset({"location"}))
    return Needs()


def _named(names: Iterable[str]) -> Needs:
    return Needs(names=frozenset(names))
