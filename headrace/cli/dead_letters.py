"""`headrace dead-letters list` and `replay`: see what could not be processed, put it through again."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError

_PATH = "/v1/dead-letters"
_PAGE = 50


class WhichLetters(HeadraceError):
    """It is not said, or said in several ways, which dead letters are to be replayed."""


def show(deployment: Deployment, console: Console, *, reason: str | None, limit: int, as_json: bool) -> None:
    """The newest letters, as a table or one JSON document a line."""
    query = {"limit": str(min(limit, _PAGE)), **({"reason": reason} if reason else {})}
    letters = islice(Service(deployment, "ingest").items(_PATH, **query), limit)
    if as_json:
        for letter in letters:
            say(console, json.dumps(letter, ensure_ascii=False))
        return
    table = Table("id", "at", "reason", "from", "messageId", "detail", box=None, pad_edge=False)
    for letter in letters:
        table.add_row(
            letter["id"], letter["at"], letter["reason"], _origin(letter), letter["message_id"], letter["detail"]
        )
    console.print(table)


def replay(
    deployment: Deployment, console: Console, *, ids: Sequence[str], reason: str | None, everything: bool
) -> int:
    """Put letters through again; 1 when one was refused again or not found."""
    if sum((bool(ids), reason is not None, everything)) != 1:
        raise WhichLetters("say which letters: their ids, --reason REASON, or --all")
    done, failed = 0, 0
    missing = set(ids)
    for item in _replayed(Service(deployment, "ingest"), list(ids), reason):
        missing.discard(item["id"])
        if item["outcome"] == "refused":
            failed += 1
            say(console, f"{item['id']} refused: {item['reason']}: {item['detail']}")
        else:
            done += 1
    for id in sorted(missing):
        say(console, f"{id} is not among the dead letters")
    say(console, f"{done} replayed, {failed} refused again")
    return 1 if failed or missing else 0


def _replayed(service: Service, ids: Sequence[str], reason: str | None) -> Iterator[dict[str, Any]]:
    """What became of each letter. The service goes through the log a piece at a time, so one id that is found
    need not be looked for any more."""
    waiting = dict.fromkeys(ids)
    cursor: str | None = None
    while True:
        which = {"ids": list(waiting)} if ids else {"reason": reason} if reason is not None else {"all": True}
        answer = service.post(f"{_PATH}/replay", {**which, "cursor": cursor})
        for item in answer["items"]:
            waiting.pop(item["id"], None)
            yield item
        cursor = answer["next"]
        if cursor is None or (ids and not waiting):
            return


def _origin(letter: dict[str, Any]) -> str:
    if letter["origin_partition"] is None:
        return f"{letter['origin_topic']} {letter['source'] or ''}".rstrip()
    return f"{letter['origin_topic']}/{letter['origin_partition']}/{letter['origin_offset']}"
