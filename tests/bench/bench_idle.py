"""What the platform costs while nobody does anything, and how exactly time alone moves customers.

    python -m tests.bench.bench_idle [--log embedded|kafka|URL] [--customers 100000] [--seconds 30] [--json FILE]

`headrace up` runs with all its services and engines. First their CPU seconds over a while in which nothing comes,
with nothing armed. Then as many customers as asked do something within a window of a day, which arms a timer for
each, and the same is measured again. Then customers add to a cart once, leave a window of five seconds, and have
abandoned the cart: rounds of them at instants apart by milliseconds, nothing else comes meanwhile. The lateness of
a change is the time that the log gave it, less the instant at which it came true.
"""

import asyncio
import contextlib
import json
import re
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from aiohttp import ClientSession

from headrace.contracts.instant import format_instant, parse_instant
from headrace.contracts.topics import SEGMENT_CHANGES
from headrace.log.connect import connect_log
from headrace.log.port import Log
from tests.bench import cpu
from tests.bench.bench_stack import PATIENCE_SECONDS, send, send_all
from tests.bench.logs import EMBEDDED, add_log, kind, running_log
from tests.bench.report import Figure, Report, options, present
from tests.e2e.api import Api
from tests.e2e.segmenter_rig import eventually
from tests.e2e.stack import SERVICES, Stack
from tests.unit.ingest.service import basic

BATCH = 500
SETTLE_SECONDS = 5.0
WINDOW_MS = 5_000
ROUND = 100
"""Customers of a round: a batch of the SDK, its events at instants spread over SPREAD_MS."""
SPREAD_MS = 2_500

Event = dict[str, Any]

_WINDOW = f"{WINDOW_MS // 1000}s"
_CONDITIONS: dict[str, Event] = {
    "armed": {"event": {"name": "Visit", "within": "1d"}},
    "awake": {"event": {"name": "Product Added", "within": _WINDOW}},
    "abandoned": {
        "sequence": {
            "steps": [{"event": "Product Added"}],
            "then_not": {"event": "Order Completed", "within": _WINDOW},
            "expires": "7d",
        }
    },
}
_DEFINITIONS = [{"kind": "segment", "id": key, "name": key, "when": when} for key, when in _CONDITIONS.items()]
_MOVED_BY_TIME = {("awake", "exited"): "exit from a window", ("abandoned", "entered"): "abandoned cart"}


def apply_definitions(api: Api) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "definitions.yaml")
        file.write_text("\n---\n".join(map(json.dumps, _DEFINITIONS)), encoding="utf-8")
        api.headrace("apply", "-f", file, "--wait")


def idleness(stack: Stack, seconds: float, what: str) -> list[Figure]:
    """CPU seconds of each service and engine over the time, as a part of one core."""
    time.sleep(SETTLE_SECONDS)  # what came before has its effect
    pids = stack.pids()
    before = {name: cpu.seconds(pid) for name, pid in pids.items()}
    started = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    spent = {name: 100 * (cpu.seconds(pid) - before[name]) / took for name, pid in pids.items()}
    services = {name: part for name, part in spent.items() if name in SERVICES}
    engines = {name: part for name, part in spent.items() if name not in SERVICES}
    found = [Figure(f"{what}: services", sum(services.values()), "% of a core")]
    found += [Figure(f"  of that, {name}", part, "% of a core") for name, part in sorted(services.items())]
    found.append(Figure(f"{what}: engines", sum(engines.values()), "% of a core"))
    found += [Figure(f"  of that, {name}", part, "% of a core") for name, part in sorted(engines.items())]
    return found


def visits(count: int) -> Iterator[Sequence[Event]]:
    """One event of each of so many customers."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        yield [_event(f"armed-{number}", "Visit") for number in numbers]


async def arm(stack: Stack, events: ClientSession, count: int) -> Figure:
    """Return once every customer's timer is armed."""
    started = time.monotonic()
    await send_all(events, visits(count))
    async with ClientSession(stack.segmenter_url) as admin:

        async def armed() -> bool:
            async with admin.get("/metrics") as page:
                found = re.findall(r"^headrace_timers_armed\{.*\} (\S+)$", await page.text(), re.MULTILINE)
            return sum(map(float, found)) >= count

        await eventually(armed, PATIENCE_SECONDS)
    return Figure("timers armed", count / (time.monotonic() - started), "customers/s")


class Moving:
    """The lateness of every change that time alone has caused, in milliseconds, by what it is."""

    def __init__(self) -> None:
        self.lateness: dict[str, list[int]] = {name: [] for name in _MOVED_BY_TIME.values()}

    @contextlib.asynccontextmanager
    async def watching(self, log: Log, topic: str, partitions: int) -> AsyncIterator[None]:
        watchers = [asyncio.create_task(self._watch(log, topic, q)) for q in range(partitions)]
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    def figures(self) -> list[Figure]:
        found = []
        for name, lateness in self.lateness.items():
            times = sorted(lateness)
            points = {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "max": times[-1]}
            found += [
                Figure(f"lateness of a silent customer's {name}, {key}", points[key], "ms") for key in points
            ]
        return found

    async def _watch(self, log: Log, topic: str, partition: int) -> None:
        offset = (await log.bounds(topic, partition)).end
        while True:
            for record in await log.read(topic, partition, offset, wait_ms=5_000):
                change = msgspec.json.decode(record.value or b"{}")
                what = change["properties"]["segment_id"], change["properties"]["action"]
                if what in _MOVED_BY_TIME:
                    self.lateness[_MOVED_BY_TIME[what]].append(record.time - parse_instant(change["timestamp"]))
                offset = record.offset + 1


async def move(stack: Stack, events: ClientSession, rounds: int, partitions: int) -> list[Figure]:
    moving = Moving()
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        async with moving.watching(log, stack.topic(SEGMENT_CHANGES), partitions):
            for number in range(rounds):
                await send(events, _carts(number))
                await asyncio.sleep((WINDOW_MS + SPREAD_MS) / 1000)  # all have moved before the next round comes

            async def moved() -> bool:
                return all(len(lateness) >= rounds * ROUND for lateness in moving.lateness.values())

            await eventually(moved, PATIENCE_SECONDS)
    finally:
        await log.close()
    return moving.figures()


def _carts(number: int) -> list[Event]:
    """A round: the first event SPREAD_MS ago, the last one now."""
    now = round(time.time() * 1000)
    return [
        _event(
            f"silent-{number}-{index}", "Product Added", format_instant(now - SPREAD_MS * (ROUND - index) // ROUND)
        )
        for index in range(ROUND)
    ]


def _event(customer: str, name: str, timestamp: str | None = None) -> Event:
    event = {"type": "track", "event": name, "userId": customer, "messageId": f"{name}-{customer}"}
    return event | ({"timestamp": timestamp} if timestamp else {})


async def _armed_part(stack: Stack, given: Namespace, partitions: int) -> list[Figure]:
    async with ClientSession(stack.ingest_url, headers=basic(stack.write_key)) as events:
        found = [await arm(stack, events, given.customers)]
        found += await asyncio.to_thread(idleness, stack, given.seconds, "idle, timers armed")
        return found + await move(stack, events, given.rounds, partitions)


def run(given: Namespace) -> Report:
    env = {"HEADRACE_PARTITIONS": str(given.partitions)}
    with contextlib.ExitStack() as context:
        if given.log != EMBEDDED:
            env["HEADRACE_LOG_URL"] = context.enter_context(running_log(given.log))
        stack = context.enter_context(Stack(env))
        api = Api(stack)
        apply_definitions(api)
        api.close()
        found = idleness(stack, given.seconds, "idle")
        if given.customers:
            found += asyncio.run(_armed_part(stack, given, given.partitions))
        log = kind(stack.setting("HEADRACE_LOG_URL"))
    return Report("idle", f"{log}, {given.partitions} partitions, {given.customers:,} timers armed", found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    add_log(parser)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--customers", type=int, default=100_000, help="with a timer; 0: only the first part")
    parser.add_argument("--seconds", type=float, default=30.0, help="of idleness")
    parser.add_argument("--rounds", type=int, default=10, help=f"of {ROUND} silent customers")
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
