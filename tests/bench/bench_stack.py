"""What the whole platform does on this machine: events a second sustained, and how soon they have their effect.

    python -m tests.bench.bench_stack [--log embedded|kafka|URL] [--events 20000] [--rate 1000] [--json FILE]

`headrace up` runs with all its services and engines; the load comes from this process on the same cores. First a
fixed number of events in batches of 100, as fast as they are taken: sustained is their number over the time until
the last of them has had its effect in every partition. Then a steady rate in batches of 10, and 20 probes a second
beside it (see probes.py). CPU seconds by process say what limits the first part.
"""

import asyncio
import contextlib
import itertools
import json
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from aiohttp import ClientConnectionError, ClientSession

from headrace.contracts.topics import SEGMENT_CHANGES
from headrace.local.ports import free_port
from tests.bench import cpu
from tests.bench.logs import EMBEDDED, add_log, kind, running_log
from tests.bench.probes import DEFINITIONS, Probes, phone, preparation, sms_url, watching
from tests.bench.report import Figure, Report, options, present
from tests.bench.segments import definitions
from tests.bench.workload import Shop
from tests.e2e.api import Api
from tests.e2e.segmenter_rig import eventually
from tests.e2e.stack import Stack
from tests.unit.ingest.service import basic

PARTITIONS = 4
CUSTOMERS = 5_000
BATCH = 100
SENDERS = 4
LAST = 64
"""Customers whose event is the last one of the load: some in every partition."""
PROBES_A_SECOND = 20
STEADY_BATCH = 10
PATIENCE_SECONDS = 300.0

_ENDED = {"kind": "segment", "id": "ended", "name": "Ended", "when": {"event": {"name": "Load Ended"}}}


def apply_definitions(api: Api, segments: int) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "definitions.yaml")
        documents = [*definitions(segments), _ENDED, *DEFINITIONS]
        file.write_text("\n---\n".join(map(json.dumps, documents)), encoding="utf-8")
        api.headrace("apply", "-f", file, "--wait")


async def send(events: ClientSession, batch: Sequence[dict[str, Any]]) -> None:
    """Post a batch until it is taken, as SDKs do."""
    body = msgspec.json.encode({"batch": batch})
    while True:
        try:
            async with events.post("/v1/batch", data=body) as answer:
                if answer.status != 503:
                    answer.raise_for_status()
                    return
                wait = float(answer.headers["retry-after"])
        except ClientConnectionError:
            continue  # the server had closed it for being idle
        await asyncio.sleep(wait)


async def send_all(events: ClientSession, batches: Iterator[Sequence[dict[str, Any]]]) -> None:
    async def sender() -> None:
        for batch in batches:
            await send(events, batch)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))


async def load(stack: Stack, events: ClientSession, calls: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Send these as fast as they are taken, once a stack; the seconds until all were taken, and until the last of
    them had its effect in every partition."""
    end = {"type": "track", "event": "Load Ended"}
    ends = [end | {"userId": f"end-{number}", "messageId": f"end-{number}"} for number in range(LAST)]
    started = time.monotonic()
    await send_all(events, (calls[start : start + BATCH] for start in range(0, len(calls), BATCH)))
    taken = time.monotonic() - started
    await send(events, ends)
    await _effect_of_all(stack)
    return taken, time.monotonic() - started


async def sustained(stack: Stack, events: ClientSession, shop: Shop, count: int) -> list[Figure]:
    calls = [shop.call() for _ in range(count)]
    before = {name: cpu.seconds(pid) for name, pid in stack.pids().items()}
    taken, took = await load(stack, events, calls)
    found = [
        Figure("events taken in", count / taken, "events/s"),
        Figure("events sustained", count / took, "events/s"),
    ]
    for name, pid in sorted(stack.pids().items()):
        if name in before and (spent := cpu.seconds(pid) - before[name]) > 0.05:
            found.append(Figure(f"  of that, {name}", count / spent, "events/CPU-s"))
    return found


async def _effect_of_all(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.admin_token}"}
    url = f"{stack.segmenter_url}/v1/segments/ended/members?limit=100"
    async with ClientSession(headers=headers) as admin:

        async def seen() -> bool:
            async with admin.get(url) as page:
                return len((await page.json())["items"]) == LAST

        await eventually(seen, PATIENCE_SECONDS)


async def steady(events: ClientSession, shop: Shop, probes: Probes, rate: int, seconds: float) -> list[Figure]:
    """The rate that was reached, and what became of the probes."""
    batches = [[shop.call() for _ in range(STEADY_BATCH)] for _ in range(round(rate * seconds / STEADY_BATCH) + 1)]
    running: set[asyncio.Task[None]] = set()
    numbers = itertools.count()
    started = time.monotonic()
    step, sent = STEADY_BATCH / rate, 0
    while (now := time.monotonic() - started) < seconds:
        while sent * step <= now:
            running.add(asyncio.create_task(send(events, batches[sent])))
            if sent % max(1, round(1 / (PROBES_A_SECOND * step))) == 0:
                running.add(asyncio.create_task(probes.post(events, next(numbers))))
            sent += 1
        running = {task for task in running if not task.done() or task.result()}
        await asyncio.sleep(step / 2)
    await asyncio.gather(*running)
    reached = sent * STEADY_BATCH / (time.monotonic() - started)
    await eventually(probes.ended, PATIENCE_SECONDS)
    found = [Figure(f"rate of {rate:,}, reached", reached, "events/s")]
    for name, ends in (
        ("POST to answer", probes.answered),
        ("POST to membership change on its topic", probes.changed),
        ("POST to provider call", probes.called),
    ):
        times = probes.milliseconds(ends)
        found += [Figure(f"{name}, p{part}", times[len(times) * part // 100], "ms") for part in (50, 99)]
    return found


async def measure(stack: Stack, provider_port: int, given: Namespace) -> list[Figure]:
    shop, url = Shop(CUSTOMERS), stack.setting("HEADRACE_LOG_URL")
    async with (
        ClientSession(stack.ingest_url, headers=basic(stack.write_key)) as events,
        watching(url, stack.topic(SEGMENT_CHANGES), PARTITIONS, provider_port) as probes,
    ):
        found = await sustained(stack, events, shop, given.events)
        people = range(round(given.seconds * PROBES_A_SECOND * 1.1) + 1)
        await send_all(events, (preparation(number) for number in people))
        found += await steady(events, shop, probes, given.rate, given.seconds)
        assert set(probes.called) <= {phone(number) for number in people}
    return found


def run(given: Namespace) -> Report:
    port = free_port()
    env = {"HEADRACE_PARTITIONS": str(PARTITIONS), "HEADRACE_SMS_URL": sms_url(port)}
    with contextlib.ExitStack() as context:
        if given.log != EMBEDDED:
            env["HEADRACE_LOG_URL"] = context.enter_context(running_log(given.log))
        stack = context.enter_context(Stack(env))
        api = Api(stack)
        apply_definitions(api, given.segments)
        found = asyncio.run(measure(stack, port, given))
        api.close()
        log = kind(stack.setting("HEADRACE_LOG_URL"))
    setting = f"{log}, {given.events:,} events, {given.segments} segments, {CUSTOMERS:,} customers"
    return Report("stack", setting, found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    add_log(parser)
    parser.add_argument("--events", type=int, default=20_000, help="of the first part")
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second of the second part")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the second part")
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
