"""The ingest service as a process of its own, on a real log that a test may stop, freeze or fill."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import redis

from headrace.contracts.event import Event
from headrace.contracts.topics import EVENTS
from headrace.local.ports import free_port
from headrace.local.valkey import Valkey
from headrace.log.redis_streams.log import RedisStreamsLog
from tests import engines
from tests.e2e.wait import wait_until

WRITE_KEY = "test-write-key"
PARTITIONS = 4


@contextlib.contextmanager
def running_ingest(log_url: str, **environment: str) -> Iterator[str]:
    """Start the service on the log, wait until it is ready, stop it; its URL."""
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_LOG_URL": log_url,
        "HEADRACE_WRITE_KEY": WRITE_KEY,
        "HEADRACE_ADMIN_TOKEN": "test-admin-token",
        "HEADRACE_PARTITIONS": str(PARTITIONS),
        "HEADRACE_INGEST_PORT": str(port),
        **environment,
    }
    process = subprocess.Popen((sys.executable, "-m", "services.ingest"), env=env, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or is_ready(url), 30, what="ingest to be ready")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    return False


@dataclass
class LogServer:
    """A Valkey on one port and folder, which can go and come back with its data."""

    engine: Valkey
    folder: Path

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with engines.running(self.engine.prepare(self.folder), self.engine.answers):
            yield

    def pid(self) -> int:
        with redis.Redis.from_url(self.engine.url) as client:
            info: dict[str, int] = client.info("server")
            return info["process_id"]


@contextlib.contextmanager
def log_server(memory_mb: int = 0) -> Iterator[LogServer]:
    with engines.data_folder() as folder:
        password = secrets.token_urlsafe(16)
        engine = Valkey("valkey", folder / "valkey", free_port(), password, "always", memory_mb)
        yield LogServer(engine, folder)


async def collected(log_url: str, prefix: str = "") -> list[Event]:
    """Every event in the log."""
    log = await RedisStreamsLog.connect(log_url, rollback_horizon_ms=600_000, housekeeping_seconds=None)
    topic = prefix + EVENTS.name
    events: list[Event] = []
    try:
        for partition in range(PARTITIONS):
            bounds = await log.bounds(topic, partition)
            offset = bounds.begin
            while offset < bounds.end:
                records = await log.read(topic, partition, offset)
                events += [msgspec.json.decode(record.value or b"", type=Event) for record in records]
                offset = records[-1].offset + 1
    finally:
        await log.close()
    return events
