"""`headrace list`: customers are put on a static list and taken off it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError

_FORMS = {".csv": "text/csv", ".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson"}
_UNKNOWN_SHOWN = 20


class NoMembers(HeadraceError):
    """It cannot be told whom to put on the list or take off it."""


def change(
    action: str, list_id: str, members: Sequence[str], deployment: Deployment, console: Console, *, key: str | None
) -> int:
    """`add` or `remove`. `members` are profile ids and identifiers as `type:value`, or one file, CSV or NDJSON.
    1 when somebody is unknown."""
    segmenter = Service(deployment, "segmenter")
    path, key = f"/v1/segments/{list_id}/members", key or uuid4().hex
    file = Path(members[0]) if len(members) == 1 else None
    if file is not None and file.suffix in _FORMS:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise NoMembers(f"cannot read {file}: {error.strerror}") from error
        answer = segmenter.upload(path, content, content_type=_FORMS[file.suffix], key=key, action=action)
    else:
        answer = segmenter.post(path, {action: [_person(one) for one in members]}, key=key)
    done = "added" if action == "add" else "removed"
    unknown = answer["unknown"]
    say(console, f"{answer['applied']} {done}, {answer['unchanged']} unchanged, {len(unknown)} unknown")
    for one in unknown[:_UNKNOWN_SHOWN]:
        say(console, f"  {one if isinstance(one, str) else ':'.join((one['type'], one['value']))}")
    if len(unknown) > _UNKNOWN_SHOWN:
        say(console, f"  and {len(unknown) - _UNKNOWN_SHOWN} more")
    return 1 if unknown else 0


def _person(text: str) -> Any:
    kind, colon, value = text.partition(":")
    return {"type": kind, "value": value} if colon else text
