"""What events, customers and messages cost: CPU by process, bytes in Kafka, Postgres and Redis, beside the model.

    python -m tests.bench.bench_capacity [--events 20000] [--customers 2000] [--segments 20] [--json FILE]

`headrace up` runs on a Kafka of its own. First events of a shop in batches of 100 (see workload.py), then
customers who each cause one message. CPU seconds are those of whole processes between two moments at which
nothing waits; bytes are what the engines have more than before. The "limit" of a figure is what capacity_model.py
predicts for this load, as docs/capacity.md does for yours: the ratio says how well.
"""

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import uvloop
from aiohttp import ClientSession

from headrace.contracts.topics import SEGMENT_CHANGES
from headrace.local.ports import free_port
from tests.bench.bench_stack import PARTITIONS, PATIENCE_SECONDS, apply_definitions, load, send_all
from tests.bench.capacity_model import EVENT, MESSAGE, Load, costs
from tests.bench.grown import Look, Observer
from tests.bench.probes import preparation, sms_url, watching
from tests.bench.report import Figure, Report, options, present
from tests.bench.workload import Shop
from tests.e2e.api import Api
from tests.e2e.segmenter_rig import eventually
from tests.e2e.stack import Stack
from tests.kafka.cluster import single
from tests.unit.ingest.service import basic

PROBES = 300


def load_of(given: Namespace, events: Look, event_bytes: float) -> Load:
    """The load as it was, in the model's words."""
    customers = events.counts["customers"]
    return Load(
        customers=customers,
        segments=given.segments,
        event_bytes=round(event_bytes),
        memberships=events.counts["memberships"] / customers,
        identifiers=events.counts["identifiers"] / customers,
        changes=events.counts["changes"] / given.events,
    )


def compared(load: Load, events: Look, messages: Look) -> Iterator[Figure]:
    """Each cost of the model as it was measured, beside what the model says."""
    for name, cost in costs(load).items():
        grown = messages if cost.unit == MESSAGE else events
        units = grown.counts[f"{cost.unit}s" if cost.unit != EVENT else "rows"]
        kind, _, what = name.partition(" ")
        if name == "cpu messenger for messages":
            read = costs(load)["cpu messenger"].value * grown.counts["rows"] / 1_000
            found = 1_000 * (grown.cpu["messenger"] - read) / units
        elif kind == "cpu":
            if what not in grown.cpu:
                continue  # of a server that somebody else runs
            found = 1_000 * grown.cpu[what] / units
        else:
            found = _SIZES[kind](grown, what) / units
        unit = f"s per 1,000 {cost.unit}s" if kind == "cpu" else f"B/{cost.unit}"
        yield Figure(name, found, unit, cost.value, "predicted")


_SIZES: Mapping[str, Callable[[Look, str], int]] = {
    "kafka": lambda grown, what: grown.kafka.get(what, 0),
    "postgres": lambda grown, what: grown.postgres[what].whole,
    "redis": lambda grown, what: grown.redis.get(what, 0),
}


class Bench:
    """The two parts, on a running stack."""

    def __init__(self, stack: Stack, observer: Observer, events: ClientSession, padding: int) -> None:
        self._stack = stack
        self._observer = observer
        self._events = events
        self._padding = "x" * padding

    async def shop(self, events: int, customers: int) -> tuple[float, Look]:
        """Mean bytes of an event, and what was added by all of them, of so many customers."""
        shop = Shop(customers)
        calls = [self._padded(shop.call()) for _ in range(events)]
        before = await self._observer.look()
        await load(self._stack, self._events, calls)
        grown = (await self._observer.look()).since(before)
        return sum(len(msgspec.json.encode(call)) for call in calls) / events, grown

    async def messages(self, provider_port: int) -> Look:
        """What was added by customers who each have one message."""
        url, topic = self._stack.setting("HEADRACE_LOG_URL"), self._stack.topic(SEGMENT_CHANGES)
        async with watching(url, topic, PARTITIONS, provider_port) as probes:
            before = await self._observer.look()
            await send_all(self._events, (preparation(number) for number in range(PROBES)))
            for number in range(PROBES):
                await probes.post(self._events, number)
            await eventually(probes.ended, PATIENCE_SECONDS)
            return (await self._observer.look()).since(before)

    def _padded(self, call: dict[str, Any]) -> dict[str, Any]:
        if not self._padding:
            return call
        return call | {"context": call["context"] | {"note": self._padding}}


async def measure(given: Namespace) -> tuple[Load, Look, Look]:
    """The load as it was, what its events added, and what messages did."""
    port = free_port()
    with contextlib.ExitStack() as context:
        broker = context.enter_context(single())
        env = {
            "HEADRACE_PARTITIONS": str(PARTITIONS),
            "HEADRACE_SMS_URL": sms_url(port),
            "HEADRACE_LOG_URL": broker.url,
            "HEADRACE_TOPIC_PREFIX": "",
        }
        stack = context.enter_context(Stack(env))
        api = Api(stack)
        apply_definitions(api, given.segments)
        api.close()
        async with ClientSession(stack.ingest_url, headers=basic(stack.write_key)) as events:
            bench = Bench(stack, Observer(stack, broker), events, given.padding)
            size, shop = await bench.shop(given.events, given.customers)
            messages = await bench.messages(port)
    return load_of(given, shop, size), shop, messages


def run(given: Namespace) -> Report:
    load, shop, messages = uvloop.run(measure(given))
    setting = (
        f"{given.events:,} events of {load.event_bytes} B, {load.customers:,} customers in {load.memberships:.1f} "
        f"of {load.segments} segments, {load.changes:.2f} changes an event, {messages.counts['messages']} messages"
    )
    return Report("capacity", setting, list(compared(load, shop, messages)))


def parser() -> ArgumentParser:
    found = options(__doc__)
    found.add_argument("--events", type=int, default=20_000)
    found.add_argument("--customers", type=int, default=2_000)
    found.add_argument("--segments", type=int, default=20)
    found.add_argument("--padding", type=int, default=0, help="bytes added to every event")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    present(run, parser(), arguments)


if __name__ == "__main__":
    main()
