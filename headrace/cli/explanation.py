"""The segmenter's explanations as trees: of the fold, and of the second evaluator that `verify` asks."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

_GROUPS = {"all": "all of", "any": "any of"}
_KINDS = (
    *("trait", "event", "sequence", "held", "segment", "tag", "rfm", "percent", "geo", "consent", "message"),
)
_EVENTS_SHOWN = 5

Node = Mapping[str, Any]


def render(answer: Node) -> Tree:
    """What `explain` answers of a customer."""
    held = answer.get("membership")
    since = f", since {held['entered_at']}" if held else ""
    if held and held["cause_message_id"] is not None:  # a date, cut points or a definition name no message
        since += f" by {held['cause_message_id']}"
    word = "is" if answer["member"] else "is not"
    head = f"{answer['profile_id']} {word} in {answer['segment_id']} version {answer['version']}{since}"
    tree = Tree(Text(head))
    _add(tree, answer["when"])
    if answer.get("paused"):
        tree.add(Text("the segment is paused: membership stays as it is until it is resumed"))
    elif answer.get("next_change_at"):
        tree.add(Text(f"this changes by itself at {answer['next_change_at']}"))
    return tree


def render_difference(example: Node) -> Tree:
    """A customer for whom `verify` found the two evaluators, or Redis, to differ."""
    stands = "is a member" if example["member"] else "is no member"
    if not example["known"]:
        stands = "is not in Redis"
    if example["listed"] != example["member"]:
        stands += ", but is listed" if example["listed"] else ", but is not listed"
    should = {True: "should be one", False: "should be none", None: "has no history"}[example["expected"]]
    tree = Tree(Text(f"{example['profile_id']} {stands} of {example['segment_id']} and {should}"))
    _add(tree.add(Text("from history, as the stream counts")), example["incremental"]["when"])
    if example["batch"] is not None:
        _add(tree.add(Text("from history, as the second evaluator counts")), example["batch"])
    return tree


def _add(tree: Tree, node: Node) -> None:
    mark = "yes" if node["result"] else "no "
    for key, label in _GROUPS.items():
        if key in node:
            branch = tree.add(Text(f"{mark} {label}"))
            for child in node[key]:
                _add(branch, child)
            return
    if "not" in node:
        _add(tree.add(Text(f"{mark} not")), node["not"])
        return
    kind, test = _test(node)
    value = f": value {_plain(node['value'])}" if "value" in node else ""
    if node.get("scores"):
        value += f", scores {_plain(node['scores'])}"
    approximate = " (approximate)" if node.get("approximate") else ""
    branch = tree.add(Text(f"{mark} {kind} {_condition(test)}{value}{approximate}".rstrip()))
    _add_inside(branch, node)
    events = node.get("events") or []
    for event in events[-_EVENTS_SHOWN:]:
        branch.add(Text(_event(event)))
    if len(events) > _EVENTS_SHOWN:
        branch.add(Text(f"and {len(events) - _EVENTS_SHOWN} before"))


def _add_inside(branch: Tree, node: Node) -> None:
    """What a condition asks in turn: `held`, a segment in place, the runs of a sequence."""
    for key in ("condition", "inside", "when"):
        inside = node.get(key)
        if isinstance(inside, Mapping) and "result" in inside:
            _add(branch, inside)
    if "reason" in node:
        branch.add(Text(str(node["reason"])))
    for run in node.get("runs") or ():
        mark = "yes" if run["result"] else "no "
        span = " ".join(f"{word} {run[word]}" for word in ("from", "until") if run.get(word))
        _add_events(branch.add(Text(f"{mark} run of {run['by'] or 'all'} {span}".rstrip())), run["events"])


def _add_events(branch: Tree, events: list[Any]) -> None:
    for event in events[-_EVENTS_SHOWN:]:
        branch.add(Text(_event(event)))


def _test(node: Node) -> tuple[str, Any]:
    """The condition's kind and what it says: beside its result, or (the second evaluator's) under `condition`."""
    written = node.get("condition")
    given = written if isinstance(written, Mapping) and "result" not in written else node
    return next(((kind, given[kind]) for kind in _KINDS if kind in given), ("condition", {}))


def _event(event: Any) -> str:
    return f"{event['timestamp']} {event['message_id']}" if isinstance(event, Mapping) else str(event)


def _condition(test: Mapping[str, Any]) -> str:
    """A condition's own words on one line: name first, the rest as written, but for conditions inside of it."""
    name = test.get("name", "")
    names = " or ".join(name) if isinstance(name, list) else str(name)
    rest = " ".join(f"{key} {_plain(value)}" for key, value in test.items() if key not in ("name", "condition"))
    return f"{names} {rest}".strip()


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_plain(part) for part in value) + "]"
    return str(value)
