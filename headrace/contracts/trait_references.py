"""Which computed traits a segment definition asks for."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from headrace.contracts.errors import Problem
from headrace.contracts.segment import Definition
from headrace.contracts.segment_conditions import Condition, Trait, children
from headrace.contracts.segment_values import COMPUTED


def computed_id(name: str) -> str | None:
    """The id of the computed trait that this name of a trait is about; None for a trait that is sent."""
    root, dot, rest = name.partition(".")
    return rest.partition(".")[0].removesuffix("[]") if dot and root == COMPUTED else None


def computed_in(node: Condition) -> set[str]:
    """The computed traits that a condition asks for."""
    found: set[str] = set()
    if isinstance(node, Trait) and (key := computed_id(node.trait.name)) is not None:
        found.add(key)
    for child in children(node):
        found |= computed_in(child)
    return found


def computed_asked(definition: Definition) -> set[str]:
    return {key for segment in definition.segments() for key in computed_in(segment.when)}


def computed_problems(definition: Definition, known: Collection[str]) -> Iterator[Problem]:
    """One for each computed trait that is asked for and not among the `known` ids."""
    for key in sorted(computed_asked(definition) - {*known}):
        near = get_close_matches(key, sorted(known), n=1)
        hint = f"did you mean computed.{near[0]}?" if near else "put that trait first (kind: trait)"
        yield Problem("when", f"there is no computed trait {key}", hint)
