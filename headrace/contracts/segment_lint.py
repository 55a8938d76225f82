"""The shape of a segment definition, checked before its types: what stands where, spelt how, how deep.

Working on the document as written, it can name the path, the reason and what was probably meant. What
DESIGN §6 describes and this version does not evaluate yet is refused here, never ignored.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from headrace.contracts.errors import Problem
from headrace.contracts.segment_limits import MAX_CONDITIONS, MAX_DEPTH

MAX_NAME = 100  # no key is longer; what is compared or told of a wrong one
MAX_PROBLEMS = 100  # told at once: finding what was meant takes longer than seeing that it is wrong

OPERATORS = frozenset(
    {"eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "between"}
    | {"contains", "starts_with", "ends_with", "matches", "exists"}
)
NUMBER_OPERATORS = frozenset({"eq", "gt", "gte", "lt", "lte", "between"})

_GROUPS = frozenset({"all", "any"})
_CONDITIONS = _GROUPS | {"not", "trait", "event", "held"}
_OTHERS = frozenset({"sequence", "segment", "tag", "rfm", "percent", "geo", "consent", "message"})
_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max", "distinct", "first", "last"})
_DATES = frozenset({"within_last", "older_than", "within_next", "anniversary"})
_DEFINITION = frozenset({"kind", "id", "name", "when"})
_EVENT = _AGGREGATES | {"name", "where", "within", "between", "currency"}
_SYMBOLS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "is": "eq"}


def lint(document: object) -> list[Problem]:
    """Everything wrong with the shape of `document`; empty when its types may be looked at."""
    if not isinstance(document, Mapping):
        return [Problem("", "must be an object", "a definition has kind, id, name and when")]
    if str(document.get("kind")) in {"list", "stages"}:
        return []
    found = list(islice(_keys("", document, _DEFINITION), MAX_PROBLEMS))
    found += [Problem(key, "is missing", "add it") for key in sorted(_DEFINITION - set(document) - {"kind"})]
    if "when" in document:
        walk = _Walk()
        walk.condition("when", document["when"], 1)
        found += walk.problems
    return found[:MAX_PROBLEMS]


class _Walk:
    """One pass over the tree of conditions. Stops going down at the limits, so that no input is costly."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._conditions = 0

    def condition(self, path: str, node: object, depth: int) -> None:
        self._conditions += 1
        if len(self.problems) >= MAX_PROBLEMS:
            return
        if self._conditions > MAX_CONDITIONS:
            if self._conditions == MAX_CONDITIONS + 1:
                self._add(path, f"has more than {MAX_CONDITIONS} conditions", "split it into several segments")
            return
        if depth > MAX_DEPTH:
            self._add(path, f"is nested deeper than {MAX_DEPTH} levels", "flatten all and any")
            return
        if not isinstance(node, Mapping) or len(node) != 1:
            self._add(path, "must be an object with exactly one condition", "join several with all: or any:")
            return
        ((kind, body),) = node.items()
        self._body(f"{path}.{str(kind)[:MAX_NAME]}", kind, body, depth)

    def _body(self, path: str, kind: object, body: object, depth: int) -> None:
        if kind in _GROUPS:
            self._group(path, body, depth)
        elif kind == "not":
            self.condition(path, body, depth + 1)
        elif kind == "trait":
            self._test(path, body, "name", OPERATORS | _DATES)
            if isinstance(body, Mapping) and str(body.get("name", "")).split(".")[0] == "computed":
                self._add(f"{path}.name", "computed traits are not supported yet", "use a trait that is sent")
        elif kind == "event":
            self._event(path, body)
        elif kind == "held" and isinstance(body, Mapping) and "condition" in body:
            self.condition(f"{path}.condition", body["condition"], depth + 1)
        elif kind not in _OTHERS:
            self._add(path, "is not a condition", _nearest(kind, _CONDITIONS | _OTHERS))

    def _group(self, path: str, body: object, depth: int) -> None:
        if not isinstance(body, list | tuple) or not body:
            self._add(path, "must be a list of at least one condition", "write each condition after a dash")
            return
        for index, child in enumerate(body):
            self.condition(f"{path}.{index}", child, depth + 1)

    def _event(self, path: str, body: object) -> None:
        if not isinstance(body, Mapping):
            self._add(path, "must be an object", "write event: {name: Order Completed}")
            return
        wrong = list(islice(_keys(path, body, _EVENT), MAX_PROBLEMS))
        self.problems += wrong
        if "name" not in body and not wrong:
            self._add(f"{path}.name", "is missing", "add the event's name")
        if len(_AGGREGATES & set(body)) > 1:
            self._add(path, "has more than one aggregate", "keep one, join two event conditions with all:")
        if "count" in body:
            self._test(f"{path}.count", body["count"], None, NUMBER_OPERATORS)
        self._where(f"{path}.where", body.get("where", ()))

    def _where(self, path: str, body: object) -> None:
        if not isinstance(body, list | tuple) or len(body) > MAX_CONDITIONS:
            self._add(path, f"must be a list of at most {MAX_CONDITIONS} tests", "write - {path: …, eq: …}")
            return
        for index, test in enumerate(body):
            if len(self.problems) >= MAX_PROBLEMS:
                return
            if not isinstance(test, Mapping) or "local" not in test:
                self._test(f"{path}.{index}", test, "path", OPERATORS)

    def _test(
        self,
        path: str,
        body: object,
        subject: str | None,
        operators: frozenset[str],
        later: frozenset[str] = frozenset(),
    ) -> None:
        """A test: its subject (a trait's name, a path) and exactly one operator."""
        if not isinstance(body, Mapping):
            self._add(path, "must be an object with one operator", "write for instance {gte: 2}")
            return
        known = operators | ({subject} if subject else set())
        wrong = list(islice(_keys(path, body, known, later), MAX_PROBLEMS))
        self.problems += wrong
        if subject and subject not in body and not wrong:
            self._add(f"{path}.{subject}", "is missing", "add it")
        used = operators & set(body)
        if len(used) > 1 or (not used and not wrong):
            self._add(path, "must have exactly one operator", f"one of {', '.join(sorted(operators))}")

    def _add(self, path: str, reason: str, suggestion: str) -> None:
        self.problems.append(Problem(path, reason, suggestion))


def _keys(
    path: str, body: Mapping[Any, object], known: frozenset[str] | set[str], later: frozenset[str] = frozenset()
) -> Iterable[Problem]:
    for key in body:
        where = f"{path}.{str(key)[:MAX_NAME]}" if path else str(key)[:MAX_NAME]
        if key in later:
            yield Problem(where, f"{key} is not supported yet", "leave it out")
        elif key not in known:
            yield Problem(where, "is not known here", _nearest(key, known | later))


def _nearest(key: object, known: Iterable[str]) -> str:
    text = str(key)[:MAX_NAME].lower()
    if text in _SYMBOLS:
        return f"did you mean {_SYMBOLS[text]}?"
    near = get_close_matches(text, sorted(known), 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
