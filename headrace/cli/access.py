"""What the commands on sources, tokens and the audit log do."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment

_PAGE = 200


class Sources:
    def __init__(self, deployment: Deployment, console: Console) -> None:
        self._ingest = Service(deployment, "ingest")
        self._console = console

    def show(self) -> None:
        """A line for each key; for a source without, one too."""
        table = Table(
            "source", "kind", "origins", "rate", "key", "begins", "holds", "used", box=None, pad_edge=False
        )
        for source in self._ingest.items("/v1/sources"):
            about = (source["name"], source["kind"], " ".join(source["origins"]), _figure(source["rate"]))
            keys = source["keys"] or [{}]
            for key in keys:
                holds = _holds(key) if key else "deleted" if source["disabled_at"] else ""
                shown = (key.get("id"), key.get("prefix"), holds, key.get("last_used_at"))
                table.add_row(*about, *(value or "" for value in shown))
        self._console.print(table)

    def put(
        self, name: str, *, kind: str, origins: Sequence[str], origins_required: bool, rate: float | None
    ) -> None:
        wanted = {"kind": kind, "origins": list(origins), "origins_required": origins_required, "rate": rate}
        self._ingest.put(f"/v1/sources/{name}", wanted)
        say(self._console, f"source {name} is {kind}; `headrace sources add-key {name}` makes a write key")

    def delete(self, name: str) -> None:
        self._ingest.delete(f"/v1/sources/{name}")
        say(self._console, f"source {name} is deleted and its keys are revoked")

    def add_key(self, name: str, expires_in: str) -> None:
        made = self._ingest.post(f"/v1/sources/{name}/keys", {"expires_in": expires_in})
        say(self._console, made["key"])
        say(self._console, f"is write key {made['id']} of {name}; {_until(made)}. It is not shown again.")

    def revoke_key(self, name: str, key_id: str) -> None:
        self._ingest.delete(f"/v1/sources/{name}/keys/{key_id}")
        say(self._console, f"key {key_id} of {name} is revoked")


class Tokens:
    def __init__(self, deployment: Deployment, console: Console) -> None:
        self._ingest = Service(deployment, "ingest")
        self._console = console

    def show(self) -> None:
        table = Table("token", "name", "begins", "scopes", "holds", "used", box=None, pad_edge=False)
        for token in self._ingest.items("/v1/tokens"):
            scopes = ", ".join(token["scopes"])
            used = token["last_used_at"] or ""
            table.add_row(token["id"], token["name"], token["prefix"], scopes, _holds(token), used)
        self._console.print(table)

    def add(self, name: str, scopes: Sequence[str], expires_in: str) -> None:
        made = self._ingest.post("/v1/tokens", {"name": name, "scopes": list(scopes), "expires_in": expires_in})
        say(self._console, made["token"])
        scope = ", ".join(made["scopes"])
        say(self._console, f"is token {made['id']} ({name}: {scope}); {_until(made)}. It is not shown again.")

    def revoke(self, token_id: str) -> None:
        self._ingest.delete(f"/v1/tokens/{token_id}")
        say(self._console, f"token {token_id} is revoked")


def audit(
    deployment: Deployment,
    console: Console,
    *,
    actor: str | None,
    route: str | None,
    since: str | None,
    limit: int,
) -> None:
    """The newest rows first: a row without a status stands from before the act."""
    asked = {"actor": actor, "route": route, "since": since, "limit": str(min(limit, _PAGE))}
    query = {name: value for name, value in asked.items() if value}
    table = Table("at", "who", "from", "service", "act", "target", "status", "ms", box=None, pad_edge=False)
    for row in islice(Service(deployment, "ingest").items("/v1/audit", **query), limit):
        who = f"{row['actor_name']} ({row['actor_id']})"
        target = " ".join(f"{name}={value}" for name, value in row["target"].items())
        end = (_figure(row["status"]), _figure(row["duration_ms"]))
        table.add_row(
            row["at"], who, row["address"], row["service"], f"{row['method']} {row['route']}", target, *end
        )
    console.print(table)


def _holds(secret: dict[str, Any]) -> str:
    if secret["revoked_at"]:
        return f"revoked {secret['revoked_at']}"
    return f"until {secret['expires_at']}" if secret["expires_at"] else "yes"


def _until(secret: dict[str, Any]) -> str:
    return f"it holds until {secret['expires_at']}" if secret["expires_at"] else "it holds until it is revoked"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
