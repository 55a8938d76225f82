"""How large a deployment must be: what events, customers and messages cost, and a calculator on it.

    python -m tests.bench.capacity_model --events-per-second 1000 --customers 1000000 [--segments 100] [--help]

The constants were measured with bench_capacity.py, which prints them again beside what it finds; docs/capacity.md
says on what machine, and what the model leaves out. Everything here is arithmetic: no engine is asked.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EVENT, CHANGE, CUSTOMER, MEMBERSHIP, MESSAGE = "event", "change", "customer", "membership", "message"
SERVICES = ("ingest", "profiles", "segmenter", "messenger")
CONNECTIONS: Mapping[str, int] = {"ingest": 6, "profiles": 26, "segmenter": 8, "messenger": 16}
"""To Postgres, of one process, at most."""
BUSY = 0.6
"""How much of a core a process should be using: the rest is for bursts, and for catching up after a restart."""
COMPACTED = "cdp.segment-memberships.v1"
_DAY = 86_400
_FEWEST = 2
_PARTITIONS = 24


@dataclass(frozen=True, kw_only=True)
class Load:
    """What comes. `event_bytes`: an event as the SDK sends it, JSON without spaces. `memberships`: of how many
    segments a customer is a member; `identifiers` of a customer; `changes` (entries and exits) and `messages` an
    event. `log_days`: how long topics keep records; `history_days`: how long timelines are kept. `replicas`:
    copies of each partition of Kafka. `events_per_second` is the peak, for which there must be cores; `average`:
    the mean as a part of it, by which things pile up."""

    events_per_second: float = 1_000.0
    customers: int = 1_000_000
    segments: int = 20
    event_bytes: int = 450
    memberships: float = 5.0
    identifiers: float = 2.5
    changes: float = 0.5
    messages: float = 0.01
    log_days: float = 7.0
    history_days: float = 365.0
    replicas: int = 3
    average: float = 0.5


class Cost(NamedTuple):
    """What one `unit` costs: seconds of a core per 1,000 of them, or bytes."""

    unit: str
    value: float


class Need(NamedTuple):
    """A line of the answer."""

    what: str
    value: float
    unit: str


def costs(load: Load) -> Mapping[str, Cost]:
    """By what it is spent on: `cpu` and a process, `kafka` and a topic, `postgres` and a table with its indexes,
    `redis` and a kind of key."""
    return {
        "cpu ingest": Cost(EVENT, 0.035),
        "cpu profiles": Cost(EVENT, 0.13),
        "cpu segmenter": Cost(EVENT, 0.145 + 0.0007 * load.segments),
        "cpu messenger": Cost(EVENT, 0.07),
        "cpu kafka": Cost(EVENT, 0.13),
        "cpu postgres": Cost(EVENT, 0.14),
        "cpu state": Cost(EVENT, 0.012),
        "cpu messenger for messages": Cost(MESSAGE, 3.1),
        "kafka cdp.events.v1": Cost(EVENT, 380 + load.event_bytes),
        "kafka cdp.profile-events.v1": Cost(EVENT, 560 + load.event_bytes),
        "kafka cdp.segment-changes.v1": Cost(CHANGE, 1_200),
        "kafka cdp.segment-memberships.v1": Cost(CHANGE, 500),
        "kafka cdp.messages.v1": Cost(MESSAGE, 830),
        "postgres profiles.timeline": Cost(EVENT, 640 + load.event_bytes),
        "postgres profiles.seen": Cost(EVENT, 185),
        "postgres segmenter.membership_interval": Cost(CHANGE, 500),
        "postgres profiles.profile": Cost(CUSTOMER, 1_300),
        "postgres profiles.identifier": Cost(CUSTOMER, 500 * load.identifiers),
        "postgres messenger.entry": Cost(MESSAGE, 930),
        "postgres messenger.message": Cost(MESSAGE, 1_900),
        "redis customers": Cost(CUSTOMER, 400 + 6.5 * load.segments),
        "redis deadlines": Cost(CUSTOMER, 100),
        "redis members": Cost(MEMBERSHIP, 100),
    }


def cores(load: Load, process: str) -> float:
    """Cores that all processes of this kind keep busy, together."""
    found = costs(load)
    seconds = found[f"cpu {process}"].value
    if process == "messenger":
        seconds += load.messages * found["cpu messenger for messages"].value
    return load.events_per_second * seconds / 1_000


def processes(load: Load, service: str) -> int:
    """How many of a service: one core each at most, and never one alone."""
    return max(_FEWEST, math.ceil(cores(load, service) / BUSY))


def partitions(load: Load) -> int:
    """Twice as many as the largest service has processes, so that there is room; in dozens, which split evenly."""
    most = max(processes(load, service) for service in SERVICES[1:])
    return max(_PARTITIONS, 12 * math.ceil(2 * most / 12))


def bytes_an_event(load: Load, engine: str) -> float:
    """What an event adds in the end, with the changes and messages that it causes; what is kept per customer or
    per membership is not in it, nor is what is compacted."""
    share = {EVENT: 1.0, CHANGE: load.changes, MESSAGE: load.messages}
    return sum(
        cost.value * share.get(cost.unit, 0.0)
        for name, cost in costs(load).items()
        if name.startswith(f"{engine} ") and not name.endswith(COMPACTED)
    )


def bytes_a_customer(load: Load, engine: str) -> float:
    """What is kept of a customer whatever happens."""
    share = {CUSTOMER: 1.0, MEMBERSHIP: load.memberships}
    return sum(
        cost.value * share.get(cost.unit, 0.0)
        for name, cost in costs(load).items()
        if name.startswith(f"{engine} ")
    )


def needs(load: Load) -> Iterator[Need]:
    """What this load needs, line by line."""
    for name in (*SERVICES, "kafka", "postgres", "state"):
        yield Need(f"{name}: cores kept busy", cores(load, name), "")
    for service in SERVICES:
        yield Need(f"{service}: processes", processes(load, service), "")
    yield Need("partitions, at least", partitions(load), "")
    held = sum(CONNECTIONS[service] * processes(load, service) for service in SERVICES)
    yield Need("postgres: connections, at most", held, "")
    yield Need("kafka: written at the peak", load.events_per_second * bytes_an_event(load, "kafka") / 1e6, "MB/s")
    a_day = load.events_per_second * load.average * _DAY / 1e9
    compacted = load.customers * load.memberships * costs(load)[f"kafka {COMPACTED}"].value / 1e9
    kept = a_day * load.log_days * bytes_an_event(load, "kafka") + compacted
    yield Need("kafka: kept, all copies", load.replicas * kept, "GB")
    added = a_day * bytes_an_event(load, "postgres")
    yield Need("postgres: added", added, "GB/day")
    people = load.customers * bytes_a_customer(load, "postgres") / 1e9
    yield Need("postgres: kept, one copy", added * load.history_days + people, "GB")
    yield Need("redis: kept, one copy", load.customers * bytes_a_customer(load, "redis") / 1e9, "GB")


def number(value: float) -> str:
    """As the tables show it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    digits = 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:,.{digits}f}"


def costs_table(load: Load) -> Iterator[str]:
    """The model as rows of Markdown."""
    for name, cost in costs(load).items():
        unit = f"s per 1,000 {cost.unit}s" if name.startswith("cpu ") else f"B per {cost.unit}"
        yield f"| {name} | {number(cost.value)} | {unit} |"


def needs_table(loads: Sequence[Load]) -> Iterator[str]:
    """What each load needs, a column each, as rows of Markdown."""
    for lines in zip(*map(needs, loads), strict=True):
        figures = " | ".join(number(line.value) for line in lines)
        yield f"| {', '.join(filter(None, (lines[0].what, lines[0].unit)))} | {figures} |"


EXAMPLES: Sequence[Load] = (
    Load(events_per_second=200, customers=200_000),
    Load(events_per_second=2_000, customers=2_000_000),
    Load(events_per_second=20_000, customers=20_000_000, segments=100, memberships=10),
    Load(events_per_second=1_000_000, customers=500_000_000, segments=100, memberships=10, history_days=90),
)
"""Those of docs/capacity.md."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Load):
        kind = int if isinstance(field.default, int) else float
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=field.default, metavar="N", help="%(default)s")
    parser.add_argument("--tables", action="store_true", help="print the tables of docs/capacity.md")
    given = vars(parser.parse_args(arguments))
    if given.pop("tables"):
        print("\n".join([*costs_table(Load()), "", *needs_table(EXAMPLES)]))
        return
    for need in needs(Load(**given)):
        print(f"{need.what:32}{number(need.value):>12} {need.unit}".rstrip())


if __name__ == "__main__":
    main(sys.argv[1:])
