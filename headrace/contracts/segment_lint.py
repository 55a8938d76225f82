"""The shape of a segment definition, checked on the document as written: what stands where, spelt how, how deep.

So it can name the path, the reason and what was probably meant. The values are the models' to judge.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from headrace.contracts.errors import Problem
from headrace.contracts.segment_conditions import (
    LIST_TAG,
    ConsentTest,
    HeldTest,
    MessageTest,
    SegmentTest,
    SequenceTest,
    TagTest,
)
from headrace.contracts.segment_limits import MAX_CHARACTERS, MAX_CONDITIONS, MAX_DEPTH, MAX_STAGES
from headrace.contracts.segment_rfm import RfmTest
from headrace.contracts.segment_shapes import joined, shape_of, shape_problems
from headrace.contracts.segment_shares import GeoTest, PercentTest
from headrace.contracts.segment_tests import AGGREGATIONS, EventTest, TraitTest
from headrace.contracts.segment_values import Model
from headrace.contracts.segment_words import MAX_WORD, suggested

MAX_PROBLEMS = 100  # told at once: finding what was meant takes longer than seeing that it is wrong

GROUPS = ("all", "any")
LEAVES: Mapping[str, type[Model]] = {
    "trait": TraitTest,
    "event": EventTest,
    "sequence": SequenceTest,
    "held": HeldTest,
    "segment": SegmentTest,
    "tag": TagTest,
    "rfm": RfmTest,
    "percent": PercentTest,
    "geo": GeoTest,
    "consent": ConsentTest,
    "message": MessageTest,
}
CONDITIONS = (*GROUPS, "not", *LEAVES)
_COMPUTED = re.compile(r"computed(\[\])?(\.|$)")
_COMPUTED_NAME = re.compile(r"computed\.[a-z0-9_-]{1,64}(\[\])?")


@dataclass
class Linted:
    """What is wrong with a document. `legible`: it is of a kind and within the limits, so that the models may look
    at its values."""

    problems: list[Problem] = field(default_factory=list)
    legible: bool = True

    @property
    def full(self) -> bool:
        return len(self.problems) >= MAX_PROBLEMS

    def add(self, path: str, reason: str, suggestion: str) -> None:
        self.extend([Problem(path, reason, suggestion)])

    def extend(self, problems: Iterable[Problem]) -> None:
        self.problems += islice(problems, MAX_PROBLEMS - len(self.problems))

    def refuse(self, path: str, reason: str, suggestion: str) -> None:
        """A problem for which the rest is not looked at."""
        self.add(path, reason, suggestion)
        self.legible = False


def lint(document: object, kinds: Mapping[str, type[Model]], stage: type[Model]) -> Linted:
    """Everything wrong with the shape of `document`, a definition of one of `kinds`."""
    found = Linted()
    if not isinstance(document, dict):
        found.refuse("", "must be an object", "a definition has kind, id, name and when")
    elif too_long(document):
        found.refuse("", f"has more than {MAX_CHARACTERS} characters", "put long lists into a static list")
    else:
        _definition(document, kinds, stage, found)
    return found


def _definition(
    document: Mapping[object, object], kinds: Mapping[str, type[Model]], stage: type[Model], found: Linted
) -> None:
    kind = document.get("kind", "segment")
    if not isinstance(kind, str) or kind not in kinds:
        hint = suggested(kind, kinds) if isinstance(kind, str) else f"write one of {', '.join(kinds)}"
        found.refuse("kind", "is no kind of segment", hint)
        return
    if "stages" in document and "kind" not in document:
        found.refuse("kind", "is missing", "add kind: stages")
        return
    found.extend(shape_problems("", kinds[kind], document))
    walk = _Walk(found)
    if document.get("when") is not None and "when" in shape_of(kinds[kind]).known:
        walk.condition("when", document["when"], 1)
    stages = document.get("stages") if kind == "stages" else None
    if not isinstance(stages, list | tuple):
        return
    if len(stages) > MAX_STAGES:
        found.refuse("stages", f"has more than {MAX_STAGES} stages", "join some, or make two sets of stages")
        return
    for index, one in enumerate(stages):
        if isinstance(one, Mapping) and one.get("when") is not None:
            walk.condition(f"stages.{index}.when", one["when"], 1)


class _Walk:
    """One pass over the tree of conditions. Stops going down at the limits, so that no input is costly."""

    def __init__(self, found: Linted) -> None:
        self._found = found
        self._conditions = 0

    def condition(self, path: str, node: object, depth: int) -> None:
        self._conditions += 1
        if self._found.full:
            return
        if self._conditions > MAX_CONDITIONS:
            if self._conditions == MAX_CONDITIONS + 1:
                reason = f"has more than {MAX_CONDITIONS} conditions"
                self._found.refuse(path, reason, "split it into several segments, and refer to them with segment:")
        elif depth > MAX_DEPTH:
            reason = f"is nested deeper than {MAX_DEPTH} levels"
            self._found.refuse(path, reason, "flatten all and any, or put a part into a segment of its own")
        elif not isinstance(node, Mapping) or len(node) != 1:
            self._found.add(path, "must be exactly one condition", _conditions_meant(node))
        else:
            ((kind, body),) = node.items()
            self._body(joined(path, kind), kind, body, depth)

    def _body(self, path: str, kind: object, body: object, depth: int) -> None:
        if kind == "not":
            self.condition(path, body, depth + 1)
        elif kind in GROUPS:
            self._group(path, body, depth)
        elif isinstance(kind, str) and kind in LEAVES:
            self._found.extend(shape_problems(path, LEAVES[kind], body))
            if isinstance(body, Mapping):
                self._found.extend(_more_problems(path, kind, body))
                if kind == "held" and body.get("condition") is not None:
                    self.condition(f"{path}.condition", body["condition"], depth + 1)
        else:
            self._found.add(path, "is not a condition", suggested(kind, CONDITIONS))

    def _group(self, path: str, body: object, depth: int) -> None:
        if not isinstance(body, list | tuple) or not body:
            self._found.add(path, "must be a list of at least one condition", "write each condition after a dash")
            return
        for index, child in enumerate(body):
            self.condition(f"{path}.{index}", child, depth + 1)


def _conditions_meant(node: object) -> str:
    if isinstance(node, list | tuple):
        return "write all: before the list, or any:"
    if not isinstance(node, Mapping) or not node:
        return "write for instance {event: {name: Order Completed}}"
    if all(key in CONDITIONS for key in node):
        return "put each of them after a dash under all: or any:"
    for kind, model in LEAVES.items():
        shape = shape_of(model)
        if set(node) <= shape.known and set(shape.required) <= set(node):
            return f"write {kind}: before it: {{{kind}: {{…}}}}"
    return "put each condition after a dash under all: or any:"


def _more_problems(path: str, kind: str, body: Mapping[object, object]) -> Iterable[Problem]:
    """What the models cannot say: they also hold what definitions are compiled to."""
    name = body.get("name")
    if kind == "trait" and isinstance(name, str) and _COMPUTED.match(name) and not _COMPUTED_NAME.fullmatch(name):
        hint = "write computed. and its id: computed.order_count"
        yield Problem(f"{path}.name", "names no computed trait", hint)
    if kind == "tag" and isinstance(name, str) and name.startswith(LIST_TAG):
        listed = name.removeprefix(LIST_TAG)[:MAX_WORD]
        reason = "is how a static list marks its members"
        yield Problem(f"{path}.name", reason, f"write segment: {{id: {listed or 'the-list'}}}")
    aggregates = [key for key in AGGREGATIONS if key in body] if kind == "event" else []
    if len(aggregates) > 1:
        hint = "keep one, and put the other in a second event under all:"
        yield Problem(path, f"has more than one aggregate: {' and '.join(aggregates)}", hint)


def too_long(document: object) -> bool:
    """Whether more is written than one definition may have."""
    total, waiting = 0, [document]
    while waiting and total <= MAX_CHARACTERS:
        node = waiting.pop()
        total += 1 + (len(node) if isinstance(node, str | Mapping | list | tuple) else 0)
        if isinstance(node, Mapping):
            waiting += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple):
            waiting += node
    return total > MAX_CHARACTERS
