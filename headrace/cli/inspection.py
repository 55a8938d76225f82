"""`headrace explain`, `preview` and `verify`: what a segment says of a customer, of everybody, of itself."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from headrace.cli.client import Service
from headrace.cli.definitions import Invalid, say
from headrace.cli.deployment import Deployment
from headrace.cli.documents import read_documents

_GROUPS = {"all": "all of", "any": "any of"}
_EVENTS_SHOWN = 5


def explain(segment: str, customer: str, deployment: Deployment, console: Console) -> None:
    """`customer` is a profile's id, or an identifier as `type:value`."""
    profile = _profile_id(customer, deployment)
    answer = Service(deployment, "segmenter").get(f"/v1/segments/{segment}/explain/{profile}")
    console.print(render(answer))


def preview(file: Path, deployment: Deployment, console: Console) -> None:
    """How many customers each segment of the file would have now, without putting it in force."""
    documents, findings = read_documents([file])
    if findings:
        raise Invalid(findings)
    for document in documents:
        if document.kind == "segment":
            answer = Service(deployment, "segmenter").post(
                "/v1/segments/preview", {"when": document.content["when"]}
            )
            say(console, f"segment {document.id} would have {answer['count']} members")


def verify(segment: str, deployment: Deployment, console: Console) -> int:
    """Compare live membership with a recomputation; 1 when they differ."""
    answer = Service(deployment, "segmenter").post(f"/v1/segments/{segment}/verify")
    say(console, f"segment {segment}: {answer['checked']} customers checked, {answer['mismatches']} differ")
    for example in answer["examples"]:
        say(console, f"  {example}")
    return 1 if answer["mismatches"] else 0


def _profile_id(customer: str, deployment: Deployment) -> str:
    kind, colon, value = customer.partition(":")
    if not colon:
        return customer
    found: dict[str, Any] = Service(deployment, "profiles").get("/v1/profiles/lookup", type=kind, value=value)
    return str(found["id"])


def render(answer: dict[str, Any]) -> Tree:
    """The segmenter's explanation as a tree."""
    held = answer.get("membership")
    since = f", since {held['entered_at']} by {held['cause_message_id']}" if held else ""
    word = "is" if answer["member"] else "is not"
    head = f"{answer['profile_id']} {word} in {answer['segment_id']} version {answer['version']}{since}"
    tree = Tree(Text(head))
    _add(tree, answer["when"])
    if answer.get("next_change_at"):
        tree.add(Text(f"this changes by itself at {answer['next_change_at']}"))
    return tree


def _add(tree: Tree, node: dict[str, Any]) -> None:
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
    kind = next(key for key in ("event", "trait") if key in node)
    approximate = " (approximate)" if node.get("approximate") else ""
    branch = tree.add(Text(f"{mark} {kind} {_condition(node[kind])}: value {node['value']}{approximate}"))
    events = node.get("events") or []
    for event in events[-_EVENTS_SHOWN:]:
        branch.add(Text(f"{event['timestamp']} {event['message_id']}"))
    if len(events) > _EVENTS_SHOWN:
        branch.add(Text(f"and {len(events) - _EVENTS_SHOWN} before"))


def _condition(test: dict[str, Any]) -> str:
    """A condition's own words on one line: name first, the rest as written."""
    name = test["name"]
    names = " or ".join(name) if isinstance(name, list) else str(name)
    rest = " ".join(f"{key} {_plain(value)}" for key, value in test.items() if key != "name")
    return f"{names} {rest}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_plain(part) for part in value) + "]"
    return str(value)
