"""What segment definitions ask of each other: references to nothing, cycles, chains, ids taken twice. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from headrace.contracts.errors import Problem
from headrace.contracts.segment import Definition, ListDefinition, StagesDefinition
from headrace.contracts.segment_conditions import All, AnyOf, Condition, Held, InSegment, Not, referenced
from headrace.contracts.segment_limits import MAX_REFERENCES, MAX_WRITTEN_OUT

Graph = Mapping[str, set[str]]
"""By segment, the segments that it asks for."""


def reference_problems(definition: Definition, known: Mapping[str, Definition]) -> list[Problem]:
    """What is wrong with how `definition` would stand among the `known` ones (by id; its own is replaced).
    Stages are asked for by their segments' ids."""
    others = [other for key, other in known.items() if key != definition.id]
    owners = {segment.id: other for other in others for segment in other.segments()}
    problems = list(_collisions(definition, owners, {other.id for other in others}))
    graph = {segment.id: referenced(segment.when) for one in (definition, *others) for segment in one.segments()}
    own = {segment.id for segment in definition.segments()}
    for path, asked in references(definition):
        if asked not in graph:
            problems.append(_unknown(path, asked, definition, known, graph))
    if not problems:
        problems += _circles(definition, graph)
    if not problems and (length := _longest(own, graph)) > MAX_REFERENCES:
        problems.append(
            Problem(
                next((path for path, _ in references(definition)), "id"),
                f"makes a chain of {length} segments that ask for one another",
                f"at most {MAX_REFERENCES} may follow each other: write the condition itself for a reference",
            )
        )
    if not problems and (largest := _largest(own, graph, (definition, *others))) > MAX_WRITTEN_OUT:
        problems.append(
            Problem(
                next((path for path, _ in references(definition)), "id"),
                f"makes {largest} references, counting those of the segments that are asked for each time",
                f"at most {MAX_WRITTEN_OUT} are looked at: ask for fewer segments, or for such as ask for fewer",
            )
        )
    return problems


def references(definition: Definition) -> Iterator[tuple[str, str]]:
    """Every reference as written: the path of the id in the document, and the id."""
    if isinstance(definition, StagesDefinition):
        for place, stage in enumerate(definition.stages):
            yield from _within(stage.when, f"stages.{place}.when")
    elif not isinstance(definition, ListDefinition):
        yield from _within(definition.when, "when")


def _within(node: Condition, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, InSegment):
        yield f"{path}.segment.id", node.segment.id
    elif isinstance(node, Not):
        yield from _within(node.not_, f"{path}.not")
    elif isinstance(node, Held):
        yield from _within(node.held.condition, f"{path}.held.condition")
    elif isinstance(node, All | AnyOf):
        kind, parts = ("all", node.all) if isinstance(node, All) else ("any", node.any)
        for place, part in enumerate(parts):
            yield from _within(part, f"{path}.{kind}.{place}")


def _collisions(definition: Definition, owners: Mapping[str, Definition], ids: set[str]) -> Iterator[Problem]:
    owner = owners.get(definition.id)
    if owner is not None:
        yield Problem("id", f"{definition.id} is a stage of {owner.id}", "choose another id")
    if isinstance(definition, StagesDefinition):
        for place, segment in enumerate(definition.segments()):
            if segment.id in owners or segment.id in ids:
                reason = f"its segment would be {segment.id}, which is there already"
                yield Problem(f"stages.{place}.id", reason, "give the stage or the stages another id")


def _unknown(
    path: str, asked: str, definition: Definition, known: Mapping[str, Definition], graph: Graph
) -> Problem:
    whole = definition if asked == definition.id else known.get(asked)
    if isinstance(whole, StagesDefinition):
        names = ", ".join(segment.id for segment in whole.segments())
        return Problem(path, f"{asked} is of kind stages", f"ask for one of its stages: {names}")
    near = get_close_matches(asked, sorted(graph), n=1)
    hint = f"did you mean {near[0]}?" if near else "put that segment first, or correct the id"
    return Problem(path, f"there is no segment {asked}", hint)


def _circles(definition: Definition, graph: Graph) -> Iterator[Problem]:
    """One problem for each circle through a segment of the definition, at a reference that is part of it."""
    told: set[frozenset[str]] = set()
    for path, asked in references(definition):
        for segment in definition.segments():
            if asked not in referenced(segment.when):
                continue
            way = _way(asked, segment.id, graph)
            if way and frozenset(way) not in told:
                told.add(frozenset(way))
                yield _circle(path, [segment.id, *way])


def _circle(path: str, circle: list[str]) -> Problem:
    if len(circle) == 2:
        return Problem(path, f"{circle[0]} asks for itself", "a segment cannot be its own condition: leave it out")
    way = " → ".join(circle)
    return Problem(path, f"the segments ask for each other in a circle: {way}", "take one of these references out")


def _way(start: str, end: str, graph: Graph) -> list[str]:
    """The segments from `start` to `end` along the references, both included; empty when there is no way."""
    came: dict[str, str | None] = {start: None}
    waiting = [start]
    for key in waiting:
        if key == end:
            return _back(key, came)
        for following in sorted(graph.get(key, ())):
            if following not in came:
                came[following] = key
                waiting.append(following)
    return []


def _back(key: str | None, came: Mapping[str, str | None]) -> list[str]:
    way = []
    while key is not None:
        way.append(key)
        key = came[key]
    return way[::-1]


def _longest(own: Iterable[str], graph: Graph) -> int:
    """How many references follow each other at most on a chain through one of `own`. There is no circle."""
    asking: dict[str, set[str]] = {}
    for key, asks in graph.items():
        for asked in asks:
            asking.setdefault(asked, set()).add(key)
    return max((_depth(key, graph) + _depth(key, asking) for key in own), default=0)


def _largest(own: Iterable[str], graph: Graph, definitions: Iterable[Definition]) -> int:
    """How many references `own` and all who ask for them come to at most, once those of what each asks for are
    counted wherever it is asked for. There is no circle, and no chain is long."""
    conditions = {segment.id: segment.when for one in definitions for segment in one.segments()}
    sizes: dict[str, int] = {}

    def size(key: str) -> int:
        if key not in sizes:
            asked = [one for _, one in _within(conditions[key], "")] if graph.get(key) else []
            sizes[key] = sum(1 + size(one) for one in asked if one in conditions)
        return sizes[key]

    concerned, wanted = set(own), set(own)
    while wanted:
        wanted = {key for key, asks in graph.items() if key not in concerned and not wanted.isdisjoint(asks)}
        concerned |= wanted
    return max(map(size, concerned), default=0)


def _depth(start: str, graph: Graph) -> int:
    """How many references follow each other from here on at most; no further than one too many."""
    level, depth = {start}, 0
    while depth <= MAX_REFERENCES:
        level = {following for key in level for following in graph.get(key, ())}
        if not level:
            break
        depth += 1
    return depth
