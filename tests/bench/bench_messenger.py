"""How fast the messenger is from a segment change on the log to a provider's call.

    python -m tests.bench.bench_messenger [--entries 10000] [--rate 1000] [--seconds 10] [--json FILE]

`sends`: entries stand on the log when the messenger starts, pinned to one core; counted from the first call of the
provider to the last. `latency`: changes are appended at a steady rate, each stamped; the provider, a server of
Twilio's shape in this process on the other core, notes when it is called. The limit is this process calling the
same provider as fast as it can with the same client and as many connections, from one core.
"""

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl

import asyncpg
import msgspec
import uvloop

from headrace.contracts.topics import SEGMENT_CHANGES, partition_of
from headrace.local.ports import free_port
from headrace.log.port import NewRecord
from tests import engines
from tests.bench import cpu
from tests.bench.report import Figure, Report, options, present
from tests.unit.messenger.rig import (
    PARTITIONS,
    TOKEN,
    ManualClock,
    Rig,
    campaign,
    entered,
    open_rig,
    prepare_database,
)

_CONCURRENCY = 256
_PATH = "/2010-04-01/Accounts/AC1/Messages.json"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@dataclass
class Provider:
    """Takes every message on; when it was first called for each number. Not a web framework: it shares its core
    with Postgres and the log, and is not what is measured."""

    at: dict[str, float] = field(default_factory=dict)

    def take(self, body: bytes) -> bytes:
        number = dict(parse_qsl(body.decode()))["To"]
        self.at.setdefault(number, time.perf_counter())
        answer = b'{"sid": "SM%032x", "status": "queued"}' % len(self.at)
        return _ANSWER % (len(answer), answer)


class Connection(asyncio.Protocol):
    """Requests one after another, each with its Content-Length."""

    def __init__(self, taking: Provider) -> None:
        self._taking = taking
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end + 2)
            assert length is not None
            whole = end + 4 + int(length[1])
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._transport.write(self._taking.take(body))


@asynccontextmanager
async def provider() -> AsyncIterator[tuple[Provider, int]]:
    taking = Provider()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(taking), "127.0.0.1", 0, backlog=1024
    )
    try:
        yield taking, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def messenger(rig: Rig, urls: dict[str, str], port: int) -> AsyncIterator[None]:
    """A messenger process on its own core while the context lasts."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        **urls,
        "HEADRACE_DATA_DIR": str(rig.data_dir),
        "HEADRACE_ADMIN_TOKEN": TOKEN,
        "HEADRACE_PARTITIONS": str(PARTITIONS),
        "HEADRACE_MESSENGER_PORT": str(free_port()),
        "HEADRACE_SEND_CONCURRENCY": str(_CONCURRENCY),
        "HEADRACE_SMS_URL": f"twilio+http://AC1:token@127.0.0.1:{port}?from=%2B420777000000",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.messenger", env=env)
    cpu.pin(process.pid, cpu.server_core())
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def phone(number: int) -> str:
    return f"+420601{number:06d}"


async def customers(rig: Rig, first: int, last: int) -> None:
    consents = msgspec.json.encode({"sms": {"status": "granted", "time": rig.clock() - 1_000}}).decode()
    await rig.pool.executemany(
        "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, $2, $3, '{}', '[]', '[]', NULL, 0, 0)",
        [(f"p{n}", msgspec.json.encode({"phone": phone(n)}).decode(), consents) for n in range(first, last)],
    )
    await rig.pool.execute("CREATE INDEX IF NOT EXISTS profile_id ON profiles.profile_v1 (id)")
    await rig.pool.execute("ANALYZE")


async def enter(rig: Rig, numbers: Sequence[int]) -> None:
    by_partition: dict[int, list[NewRecord]] = {}
    for number in numbers:
        profile_id = f"p{number}"
        q = partition_of(profile_id, PARTITIONS)
        value = entered(profile_id, f"e{number}", at=time.time_ns() // 1_000_000)
        by_partition.setdefault(q, []).append(rig.numbered(SEGMENT_CHANGES.name, q, value))
    for q, records in by_partition.items():
        await rig.log.append(rig.topic_prefix + SEGMENT_CHANGES.name, q, records)


async def until(taking: Provider, count: int, seconds: float = 300) -> None:
    async with asyncio.timeout(seconds):
        while len(taking.at) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def sends(rig: Rig, urls: dict[str, str], entries: int) -> float:
    """Sends per second."""
    await enter(rig, range(entries))
    async with provider() as (taking, port), messenger(rig, urls, port):
        await until(taking, 1)
        start = min(taking.at.values())
        await until(taking, entries)
    return (entries - 1) / (max(taking.at.values()) - start)


async def latency(rig: Rig, urls: dict[str, str], first: int, rate: int, seconds: int) -> list[float]:
    """Seconds from the append of each change to its call, at a steady rate."""
    appended: dict[int, float] = {}
    async with provider() as (taking, port), messenger(rig, urls, port):
        await enter(rig, [first])
        await until(taking, 1)  # it is up and warm
        start, number = time.perf_counter(), first + 1
        while (now := time.perf_counter()) - start < seconds:
            upto = first + 1 + int((now - start) * rate)
            if number < upto:
                for one in range(number, upto):
                    appended[one] = now
                await enter(rig, range(number, upto))
                number = upto
            await asyncio.sleep(0.002)
        await until(taking, len(appended) + 1)
        return sorted(taking.at[phone(one)] - at for one, at in appended.items())


async def limit(seconds: float = 3.0) -> float:
    """Calls per second that the same client makes from one core, and does nothing else."""
    async with provider() as (_, port):
        url = f"http://127.0.0.1:{port}{_PATH}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.calls", url, str(seconds), str(_CONCURRENCY)),
            stdout=asyncio.subprocess.PIPE,
        )
        cpu.pin(process.pid, cpu.server_core())
        out, _ = await process.communicate()
    return float(out)


async def measure(given: Namespace) -> Report:
    total = given.entries + given.rate * given.seconds + given.rate
    with tempfile.TemporaryDirectory() as folder, engines.postgres() as database, engines.valkey("always") as log:
        connection = await asyncpg.connect(database.url)
        await connection.execute("CREATE DATABASE bench")
        await connection.close()
        url = database.url.rpartition("/")[0] + "/bench"
        await prepare_database(url)
        async with open_rig(url, log.url, Path(folder)) as rig:
            rig.clock = ManualClock(time.time_ns() // 1_000_000)
            await rig.define(
                {"kind": "template", "id": "hello", "channel": "sms", "text": "Hello"},
                campaign(max_entry_age="9d"),
            )
            await customers(rig, 0, total)
            urls = {"HEADRACE_DATABASE_URL": url, "HEADRACE_LOG_URL": log.url}
            cpu.pin(os.getpid(), cpu.client_core())
            best = await limit()
            rate = await sends(rig, urls, given.entries)
            took = await latency(rig, urls, given.entries, given.rate, given.seconds)
    figures = [
        Figure("sends", rate, "sends/s", best, "the same calls from one core, and nothing else"),
        Figure("p50 from change to call", 1_000 * took[len(took) // 2], "ms"),
        Figure("p99 from change to call", 1_000 * took[int(len(took) * 0.99)], "ms"),
    ]
    setting = f"{given.entries} entries at once, then {given.rate}/s for {given.seconds} s"
    return Report("messenger", setting, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--entries", type=int, default=10_000, metavar="N")
    parser.add_argument("--rate", type=int, default=1_000, metavar="N", help="entries a second")
    parser.add_argument("--seconds", type=int, default=10, metavar="N")
    present(lambda given: uvloop.run(measure(given)), parser, arguments)


if __name__ == "__main__":
    main()
