"""The second fault set: what operators, clients and machines do to a platform that otherwise works."""

import asyncio
import signal
import time
from collections.abc import Iterator

import redis

from tests.e2e.wait import wait_until
from tests.faults import clock
from tests.faults.full_disk import FULL_DISKS
from tests.faults.orders import BROWSED, Event, shopping
from tests.faults.platform import CONSUMERS, PARTITIONS, SERVICES, Platform
from tests.faults.recreated import RECREATED
from tests.faults.slow_clients import SlowClients
from tests.faults.storm import storm
from tests.faults.suite import Row
from tests.servers.packages import provided

_ROOM = 4096
_SLOW_CLIENTS = 300
_SKEWED_SECONDS = 2.0
_STORM_CLIENTS = 4


def _state_full(platform: Platform) -> float:
    """maxmemory is what it uses; once it has refused a commit, somebody raises it again."""
    with redis.Redis.from_url(platform.state.url) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        try:
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - _ROOM)
            wait_until(lambda: _refused(client), 30, what="the state to refuse a commit")
            time.sleep(1)
        finally:
            client.config_set("maxmemory", before)
    return time.time()


def _refused(client: "redis.Redis") -> bool:
    return any(name.startswith("errorstat_OOM") for name in client.info("errorstats"))


def _evicting(platform: Platform) -> float:
    """Somebody lets Redis throw keys away: the segmenter must end, say why, and stay away until it is undone."""
    with redis.Redis.from_url(platform.state.url) as client:
        pid = platform.pid("segmenter")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            wait_until(lambda: platform.stack.pids().get("segmenter") != pid, 30, what="segmenter to stop")
            refused = "maxmemory-policy allkeys-lru; set it to noeviction"
            wait_until(lambda: refused in platform.said("segmenter"), 30, what="segmenter to say why")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    return time.time()


def deadlocks(seconds: float) -> Row:
    def fault(platform: Platform) -> float:
        time.sleep(0.5)
        found = asyncio.run(storm(platform.postgres.url, seconds, clients=_STORM_CLIENTS, partitions=PARTITIONS))
        assert found, "nothing was deadlocked"
        return time.time()

    return Row("deadlock storm in Postgres", fault, seconds=seconds)


def slow_clients(seconds: float) -> Row:
    def fault(platform: Platform) -> float:
        with SlowClients(platform.stack.ingest_url, _SLOW_CLIENTS) as clients:
            time.sleep(seconds)
        assert clients.bytes_sent, "no slow client was heard"
        return time.time()

    return Row(f"{_SLOW_CLIENTS} clients that trickle", fault, seconds=seconds)


def wrong_clock(**hours: int) -> Row:
    """Another process of each service, with a wrong clock, works in place of the first, which then comes back.
    Raises Missing where there is no libfaketime."""

    def fault(platform: Platform) -> float:
        library = provided(clock.library)
        skewed = {service: clock.ahead(library, ahead) for service, ahead in hours.items()}
        with platform.members(skewed, services=list(hours)) as members:
            for service in hours:
                platform.signal(service, signal.SIGSTOP)
            for service in hours:
                members.wait_assigned(service)
            time.sleep(_SKEWED_SECONDS)
            return platform.resume(list(hours))

    clocks = ", ".join(f"{service} {ahead:+d} h" for service, ahead in hours.items())
    return Row(f"wrong clock: {clocks}", fault, seconds=6)


def _rolling(platform: Platform) -> float:
    """Each process of each service ends in peace and is followed by a new one, one after the other, while the
    service has another."""
    with platform.members() as members:
        for service in SERVICES:
            _restarted(platform, service)
            if service in CONSUMERS:
                members.replace(service)
    return time.time()


def _restarted(platform: Platform, service: str) -> None:
    pid = platform.pid(service)
    platform.signal(service, signal.SIGTERM)
    platform.wait_replaced(service, pid)


def _half_for_one(row: str, events: int, seconds: float, phones: Iterator[str]) -> list[Event]:
    """As many events of one customer as of all the others."""
    others = shopping(row, events // 2, seconds, phones)
    user, step = f"{row}-hot", seconds / len(others)
    hot = [Event(user, f"{user}:{number}", BROWSED, number * step) for number in range(len(others))]
    return sorted([*others, *hot], key=lambda event: event.at)


def _nothing(platform: Platform) -> float:
    time.sleep(1)
    return time.time()


STATE_FULL = Row("state out of memory, then given more", _state_full)
EVICTING = Row("state set to allkeys-lru at run time", _evicting)
HOT = Row("half the traffic is one customer's", _nothing, events=_half_for_one)
ROLLING = Row("rolling restart of every service", _rolling, seconds=8)
CLOCKS: list[Row] = [wrong_clock(**{service: hours}) for service in CONSUMERS for hours in (1, -1)]
CLOCKS_APART = wrong_clock(profiles=1, segmenter=-1, messenger=1)
"""In one row, for CI."""
OTHERS: list[Row] = [
    STATE_FULL,
    EVICTING,
    deadlocks(3),
    HOT,
    slow_clients(3),
    ROLLING,
    *FULL_DISKS,
    *RECREATED,
]
SECOND: list[Row] = [*OTHERS, *CLOCKS]
