"""The ingest service on a log in memory, called without a socket."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.event import Event
from headrace.contracts.topics import DEAD_LETTERS, EVENTS
from headrace.log.topics import ensure_topics
from headrace.runtime.settings import Environment
from services.ingest.main import assemble
from services.ingest.settings import load_settings
from services.ingest.tracking import TrackingApi
from tests.http.documented import DocumentedTransport
from tests.unit.ingest.memory_log import MemoryLog

SERVER_KEY = "server-key"
WEB_KEY = "web-key"
PARTITIONS = 4

ENVIRONMENT = {
    "HEADRACE_LOG_URL": "redis://unused",
    "HEADRACE_ADMIN_TOKEN": "admin",
    "HEADRACE_WRITE_KEY": SERVER_KEY,
    "HEADRACE_SOURCES": json.dumps({WEB_KEY: {"source": "web"}}),
    "HEADRACE_PARTITIONS": str(PARTITIONS),
}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


@dataclass
class Ingest:
    """A running service: its client and what landed in its topics."""

    app: TrackingApi
    log: MemoryLog
    client: httpx.AsyncClient

    def events(self) -> list[Event]:
        return [msgspec.json.decode(r.value or b"", type=Event) for r in self.log.records(EVENTS.name)]

    def dead_letters(self) -> list[DeadLetter]:
        return [msgspec.json.decode(r.value or b"", type=DeadLetter) for r in self.log.records(DEAD_LETTERS.name)]

    async def post(self, path: str, body: Any, *, key: str = SERVER_KEY, **headers: str) -> httpx.Response:
        """POST `body` (bytes as they are, else as JSON) with the write key as Basic credentials."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=content, headers={**basic(key), **named})

    async def accepted(self, path: str, body: Any, **headers: str) -> Event:
        """POST one event that must be accepted; the event as it landed."""
        before = len(self.events())
        response = await self.post(path, body, **headers)
        assert (response.status_code, response.json()) == (200, {"success": True})
        landed = self.events()
        assert len(landed) == before + 1
        return max(landed, key=lambda event: (event.received_at, event.message_id))


async def start_ingest(log: MemoryLog | None = None, **environment: str) -> Ingest:
    """The service with further environment variables."""
    log = log or MemoryLog()
    await ensure_topics(log, prefix="", partitions=PARTITIONS)
    app = assemble(log, load_settings(Environment({**ENVIRONMENT, **environment})))
    transport = DocumentedTransport("ingest", app, raise_app_exceptions=False, client=("203.0.113.7", 4711))
    return Ingest(app, log, httpx.AsyncClient(transport=transport, base_url="http://cdp.example.com"))
