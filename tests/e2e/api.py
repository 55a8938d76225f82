"""What end-to-end tests ask of a running stack: the admin APIs, the outbox, the `headrace` command."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.stack import Stack
from tests.http.documented import SERVICES, hold

Document = dict[str, Any]


class Api:
    """The HTTP APIs of a stack, as an administrator and with the server's write key."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        token = {"Authorization": f"Bearer {stack.admin_token}"}
        self._services = {port: name for name, port in stack.ports.items()}
        hooks = {"response": [self._hold]}
        self.admin = httpx.Client(headers=token, timeout=30.0, trust_env=False, event_hooks=hooks)
        self._events = httpx.Client(
            base_url=stack.ingest_url, auth=(stack.write_key, ""), timeout=30.0, trust_env=False
        )

    def close(self) -> None:
        self.admin.close()
        self._events.close()

    def _hold(self, response: httpx.Response) -> None:
        """Whatever a service answers is what its OpenAPI document says."""
        service = self._services.get(response.request.url.port or 0)
        if service in SERVICES:
            response.read()
            hold(service, response)

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """Post to ingest."""
        return self._events.post(path, json=body, headers=headers)

    def hook(self, path: str) -> None:
        """Call ingest as a provider does, by GET."""
        self._events.get(path).raise_for_status()

    def get(self, service: str, path: str, **query: str) -> Any:
        return self.admin.get(self.stack.url(service) + path, params=query).raise_for_status().json()

    def items(self, service: str, path: str, **query: str) -> Iterator[Document]:
        cursor: str | None = None
        while True:
            page = self.get(service, path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            if not (cursor := page["next"]):
                return

    def profile(self, kind: str, value: str) -> Document | None:
        """The profile with this identifier, None while there is none."""
        path = f"{self.stack.profiles_url}/v1/profiles/lookup"
        response = self.admin.get(path, params={"type": kind, "value": value})
        found: Document | None = None if response.status_code == 404 else response.raise_for_status().json()
        return found

    def members(self, segment: str) -> set[str]:
        return {item["profile_id"] for item in self.items("segmenter", f"/v1/segments/{segment}/members")}

    def all_live(self, *segments: str) -> bool:
        """Whether the latest version of each of these is live everywhere."""
        return all(self.get("segmenter", f"/v1/segments/{segment}")["status"] == "live" for segment in segments)

    def timeline(self, profile_id: str) -> list[Document]:
        return list(self.items("profiles", f"/v1/profiles/{profile_id}/events", limit="200"))

    def sms(self, *numbers: str) -> list[Document]:
        """The lines of the SMS outbox to these numbers."""
        outbox = self.stack.outbox / "sms.jsonl"
        lines = outbox.read_bytes().split(b"\n")[:-1] if outbox.exists() else []
        return [message for line in lines if (message := json.loads(line))["to"] in numbers]

    def headrace(self, *arguments: str | Path, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Run the command against this stack."""
        done = subprocess.run(
            (sys.executable, "-m", "headrace.cli.main", *map(str, arguments)),
            env=self.stack.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert check is None or done.returncode == check, f"{arguments}: {done.stdout}{done.stderr}"
        return done
