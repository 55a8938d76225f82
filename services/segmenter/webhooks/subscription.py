"""A webhook subscription as it is asked for, and what is wrong with one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment_change import ChangeAction
from headrace.runtime.webhooks.address import Reach, url_problem
from headrace.runtime.webhooks.signature import PREFIX, read_secret

ACTIONS: tuple[str, ...] = get_args(ChangeAction)
MAX_SEGMENTS = 1_000

_ID = re.compile(r"[a-z0-9-]{1,64}")
_NAMES = ("url", "segments", "actions", "secret", "enabled")


@dataclass(frozen=True, slots=True)
class WantedSubscription:
    """`segments` None: all, also those to come. `secret` None: keep the one there is, or make one."""

    id: str
    url: str
    segments: tuple[str, ...] | None
    actions: tuple[str, ...]
    secret: str | None
    enabled: bool


def parse_subscription(subscription_id: str, document: Any, reach: Reach) -> WantedSubscription:
    """Raises InvalidDefinition with all that is wrong."""
    if not isinstance(document, Mapping):
        raise InvalidDefinition([Problem("", "is not an object", 'send {"url": "https://…"}')])
    problems = [
        *_id_problems(subscription_id, document),
        *_url_problems(document.get("url"), reach),
        *_list_problems("segments", document.get("segments"), MAX_SEGMENTS),
        *_list_problems("actions", document.get("actions"), len(ACTIONS)),
        *_secret_problems(document.get("secret")),
    ]
    enabled = document.get("enabled", True)
    if not isinstance(enabled, bool):
        problems.append(Problem("enabled", "is neither true nor false", "write enabled: true, or leave it out"))
    if problems:
        raise InvalidDefinition(problems)
    segments, actions = document.get("segments"), document.get("actions") or ACTIONS
    return WantedSubscription(
        subscription_id,
        document["url"],
        None if segments is None else tuple(sorted(set(segments))),
        tuple(action for action in ACTIONS if action in actions),
        document.get("secret"),
        enabled,
    )


def _id_problems(subscription_id: str, document: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if not _ID.fullmatch(subscription_id):
        problems.append(Problem("id", "is not 1 to 64 of a-z, 0-9 and -", "choose another in the path"))
    if document.get("id", subscription_id) != subscription_id:
        problems.append(
            Problem("id", f"is not {subscription_id!r} as in the path", "write the same, or leave it out")
        )
    unknown = sorted(str(name)[:64] for name in document if name not in {"id", *_NAMES})[:20]
    return problems + [Problem(name, "is not known here", f"use {', '.join(_NAMES)}") for name in unknown]


def _url_problems(url: Any, reach: Reach) -> list[Problem]:
    if not isinstance(url, str):
        return [Problem("url", "is missing", "write url: https://…")]
    problem = url_problem(url, reach)
    return [] if problem is None else [Problem("url", problem.reason, problem.suggestion)]


def _list_problems(name: str, given: Any, most: int) -> list[Problem]:
    if given is None:
        return []
    what, reason = "ids of segments", "is not the id of a segment"
    if name == "actions":
        what, reason = " and ".join(ACTIONS), f"is neither {' nor '.join(ACTIONS)}"
    if not isinstance(given, list) or not 1 <= len(given) <= most:
        return [Problem(name, f"is not a list of 1 to {most}", f"list {what}, or leave it out for all")]
    return [
        Problem(f"{name}.{n}", reason, f"list {what}")
        for n, each in enumerate(given)
        if not isinstance(each, str) or not (each in ACTIONS if name == "actions" else _ID.fullmatch(each))
    ][:20]


def _secret_problems(secret: Any) -> list[Problem]:
    if secret is None:
        return []
    try:
        read_secret(secret if isinstance(secret, str) else "")
    except ValueError as error:
        return [Problem("secret", str(error), f"write {PREFIX} and base64 of 32 random bytes, or leave it out")]
    return []
