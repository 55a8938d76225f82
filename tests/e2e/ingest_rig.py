"""The ingest service as a process of its own, on a real log that a test may kill or freeze."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import httpx
import msgspec

from headrace.contracts.event import Event
from headrace.contracts.topics import EVENTS
from headrace.local.ports import free_port
from headrace.log.connect import connect_log
from tests import engines
from tests.e2e.wait import wait_until
from tests.kafka import cluster
from tests.servers import LOG_URL

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


class LogServer(Protocol):
    """A log on one port and folder, which can go and come back with its data."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


@contextlib.contextmanager
def log_server() -> Iterator[LogServer]:
    """A running log of a test's own, of the kind that the other tests use."""
    server: AbstractContextManager[LogServer] = (
        cluster.single() if os.environ.get(LOG_URL) else engines.own_valkey()
    )
    with server as running:
        yield running


async def collected(log_url: str, prefix: str = "") -> list[Event]:
    """Every event in the log."""
    log = await connect_log(log_url, rollback_horizon_ms=600_000)
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
