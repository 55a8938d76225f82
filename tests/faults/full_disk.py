"""An engine's disk is full for a while: writes are refused, nothing of what was answered is lost."""

import time
from collections.abc import Callable

import redis

from tests.e2e.wait import wait_until
from tests.faults.disks import Disk
from tests.faults.engines import Server
from tests.faults.platform import CONSUMERS, Platform
from tests.faults.suite import LeftOut, Row

DISKS = {"postgres": 400, "log": 64, "state": 64}
"""Megabytes: room for what the rows write."""

_REFUSED = "DiskFullError"


def disk_full(name: str, notices: Callable[[Platform], Callable[[], bool]]) -> Row:
    """`notices` gives, before the disk is full, what says that the engine has noticed. Raises LeftOut."""

    def fault(platform: Platform) -> float:
        engine = platform.engines[name]
        if not isinstance(engine, Server):
            raise LeftOut("a Kafka broker whose disk is full ends, and is not the platform's to start again")
        disk = platform.disks.get(name)
        if disk is None:
            raise LeftOut("a small disk needs the right to mount one (root with CAP_SYS_ADMIN)")
        time.sleep(0.5)
        noticed = notices(platform)
        try:
            wait_until(lambda: _full(disk, noticed), 40, what=f"{name} to notice its full disk")
            time.sleep(1)
        finally:
            disk.empty()
        over = time.time()
        engine.start()  # what supervises it does, where it has ended
        return over

    return Row(f"{name}: disk full, then room again", fault, seconds=4)


def _full(disk: Disk, noticed: Callable[[], bool]) -> bool:
    """What has become free meanwhile is taken too."""
    disk.fill()
    return noticed()


def _postgres(platform: Platform) -> Callable[[], bool]:
    before = _refusals(platform)
    return lambda: _refusals(platform) > before or not _runs(platform, "postgres")


def _refusals(platform: Platform) -> int:
    return sum(platform.said(service).count(_REFUSED) for service in CONSUMERS)


def _log(platform: Platform) -> Callable[[], bool]:
    """It fsyncs every write, and ends when it cannot."""
    return lambda: not _runs(platform, "log")


def _runs(platform: Platform, name: str) -> bool:
    engine = platform.engines[name]
    return isinstance(engine, Server) and engine.running


def _state(platform: Platform) -> Callable[[], bool]:
    def noticed() -> bool:
        with redis.Redis.from_url(platform.state.url) as client:
            return bool(client.info("persistence")["aof_last_write_status"] != "ok")

    return noticed


FULL_DISKS = [disk_full("postgres", _postgres), disk_full("log", _log), disk_full("state", _state)]
