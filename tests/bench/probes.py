"""How long an event takes from its POST to the membership that it causes, and to the call of a provider.

A probe is an event of a customer who enters a segment by it, which sends a message. The change of the segment is
seen where consumers see it, on its topic; the provider is a server of Twilio's shape in this process.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from headrace.log.connect import connect_log
from headrace.log.port import Log

SEGMENT = "probed"
_SID = "AC" + "0" * 32
DEFINITIONS: list[dict[str, Any]] = [
    {"kind": "segment", "id": SEGMENT, "name": "Probed", "when": {"event": {"name": "Probe"}}},
    {"kind": "template", "id": SEGMENT, "channel": "sms", "text": "Hello"},
    {
        "kind": "campaign",
        "id": SEGMENT,
        "name": "Probed",
        "trigger": {"segment": SEGMENT, "on": "entered"},
        "steps": [{"send": {"channels": ["sms"], "template": SEGMENT}}],
    },
]


def sms_url(port: int) -> str:
    """What HEADRACE_SMS_URL is, for a provider on this port."""
    return f"twilio+http://{_SID}:token@127.0.0.1:{port}?from=%2B420777000000"


def phone(number: int) -> str:
    return f"+4207{number:08d}"


def preparation(number: int) -> list[dict[str, Any]]:
    """The events that make the probe's customer one who may be written to."""
    who = {"userId": f"probe-{number}"}
    consent = {"type": "track", "event": "Consent Given", "properties": {"channel": "sms"}}
    return [
        who | {"type": "identify", "messageId": f"probe-{number}-who", "traits": {"phone": phone(number)}},
        who | consent | {"messageId": f"probe-{number}-consent"},
    ]


@dataclass
class Probes:
    """Instants by probe, in seconds of the monotonic clock."""

    posted: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    called: dict[str, float] = field(default_factory=dict)

    async def ended(self) -> bool:
        """Every probe has had both of its effects."""
        return self.posted.keys() == self.changed.keys() == self.called.keys()

    async def post(self, events: ClientSession, number: int) -> None:
        probe = {"userId": f"probe-{number}", "event": "Probe", "messageId": f"probe-{number}"}
        self.posted[phone(number)] = time.monotonic()
        async with events.post("/v1/track", json=probe) as answer:
            answer.raise_for_status()
        self.answered[phone(number)] = time.monotonic()

    def milliseconds(self, ends: dict[str, float]) -> list[float]:
        """From the POST to each of the ends, ascending."""
        return sorted(1000 * (end - self.posted[name]) for name, end in ends.items())

    async def watch(self, log: Log, topic: str, partition: int) -> None:
        """See changes of the segment as they come, for ever."""
        offset = (await log.bounds(topic, partition)).end
        while True:
            records = await log.read(topic, partition, offset, wait_ms=1_000)
            for record in records:
                change = msgspec.json.decode(record.value or b"{}")
                if change["properties"]["segment_id"] == SEGMENT:
                    self.changed[phone(int(change["userId"].removeprefix("probe-")))] = time.monotonic()
            if records:
                offset = records[-1].offset + 1

    async def _message(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.called[str(form["To"])] = time.monotonic()
        return web.json_response({"sid": f"SM{len(self.called):032d}", "status": "queued"}, status=201)


@asynccontextmanager
async def watching(log_url: str, topic: str, partitions: int, provider_port: int) -> AsyncIterator[Probes]:
    """Probes whose ends are seen while the context lasts."""
    probes = Probes()
    app = web.Application()
    app.router.add_post(f"/2010-04-01/Accounts/{_SID}/Messages.json", probes._message)
    provider = web.AppRunner(app, access_log=None)
    await provider.setup()
    await web.TCPSite(provider, "127.0.0.1", provider_port).start()
    log = await connect_log(log_url, rollback_horizon_ms=600_000)
    watchers = [asyncio.create_task(probes.watch(log, topic, q)) for q in range(partitions)]
    try:
        yield probes
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await log.close()
        await provider.cleanup()
