"""The faults: each does its harm while orders stream in, and returns the moment at which it was over."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest

from headrace.runtime.failpoints import POINTS
from tests.faults.engines import roll_back, state_files
from tests.faults.orders import WINDOW_SECONDS, Event, carts
from tests.faults.platform import CONSUMERS, Platform
from tests.faults.proxy import Trap
from tests.faults.suite import KILLED_SECONDS, Fault, Row

_REBUILD = ("before_rebuild", "after_reset", "after_rebuild")
_HITS = 2
_FILLED_AT = 1.0


def kill(*points: tuple[str, str]) -> Fault:
    """kill -9 at these failpoints, (service, point), each at its second hit or, for a rebuild, its first."""

    def fault(platform: Platform) -> float:
        for service, point in points:
            platform.arm(service, point, at=1 if point in _REBUILD else _HITS)
        if any(point in _REBUILD for _, point in points):
            platform.rebuild()
        return max(platform.wait_fired(service, point) for service, point in points)

    return fault


def killed(*points: tuple[str, str]) -> Row:
    name = " ".join(f"{service}.{point}" for service, point in points)
    return Row(f"kill -9 {name}", kill(*points), limit=KILLED_SECONDS)


EVERY_POINT = [killed((service, point)) for service, points in POINTS.items() for point in points]
"""A row for each failpoint of each service."""

ALL_AT_ONCE = [
    killed(*(pair for pair in pairs if pair is not None))
    for pairs in zip_longest(*([(service, point) for point in points] for service, points in POINTS.items()))
]
"""The same failpoints in fewer rows: in each, every service dies at one of its own."""


def _stopped(platform: Platform) -> float:
    """Every consumer stops in the middle of its work, other members take over, then the first go on: what they do
    next, believing that the partitions are theirs, must come to nothing."""
    # from the end of the way to its beginning: a point is not reached any more once what feeds it stands still
    for service, point in (
        ("messenger", "after_claim"),
        ("segmenter", "before_commit"),
        ("profiles", "after_read"),
    ):
        platform.arm(service, point, "stop")
        platform.wait_fired(service, point)
    with platform.members() as members:
        for service in CONSUMERS:
            members.wait_assigned(service)
        time.sleep(1)
        over = platform.resume(CONSUMERS)
        time.sleep(1)
    return over


def churn(cycles: int, pause: float) -> Row:
    """Two members of each consumer, one of which dies every `pause` seconds, in turns."""

    def fault(platform: Platform) -> float:
        with platform.members() as members:
            for cycle in range(cycles):
                time.sleep(pause)
                for service in CONSUMERS:
                    if cycle % 2:
                        members.restart(service)
                    else:
                        platform.stack.kill_service(service)
            return time.time()

    return Row(f"a member of each service killed every {pause:.0f} s", fault, seconds=cycles * pause)


def engine_killed(name: str, away: float = 2.0) -> Row:
    """An engine dies and is back after a while, on its data."""

    def fault(platform: Platform) -> float:
        time.sleep(1)
        platform.engines[name].kill()
        time.sleep(away)
        platform.engines[name].start()
        return time.time()

    return Row(f"{name} killed, back after {away:.0f} s", fault)


def black_holed(name: str, seconds: float) -> Row:
    """Connections stay open, nothing gets through; what was under way arrives late."""

    def fault(platform: Platform) -> float:
        time.sleep(1)
        platform.proxies[name].black_hole()
        time.sleep(seconds)
        platform.proxies[name].heal()
        return time.time()

    return Row(f"{name} black-holed for {seconds:.0f} s", fault)


def slow(name: str, delay: float, seconds: float) -> Row:
    def fault(platform: Platform) -> float:
        platform.proxies[name].slow(delay)
        time.sleep(seconds)
        platform.proxies[name].heal()
        return time.time()

    return Row(f"{name} {1000 * delay:.0f} ms slower each way", fault, seconds=seconds)


def cut_in_commit(*names: str) -> Row:
    """At each engine: a commit happens and its reply is lost; a commit is lost with its connection; everything
    is cut."""

    def fault(platform: Platform) -> float:
        for name in names:
            proxy = platform.proxies[name]
            for set_trap in (proxy.lose_reply, proxy.cut_before):
                _spring(platform, name, set_trap)
            proxy.cut()
        return time.time()

    return Row(f"connection cut before and after a commit: {' '.join(names)}", fault)


def _spring(platform: Platform, name: str, set_trap: Callable[..., Trap]) -> None:
    """Set the trap for the next commit there; at Postgres for a batch's, which stands right before it."""
    held = ("profiles", "before_commit")
    if name == "postgres":
        platform.arm(*held, "block", at=_HITS)
        platform.wait_fired(*held)
    request = platform.engines[name].request
    sprung = set_trap(*request)
    platform.disarm(*held)
    assert sprung.wait(20), f"{name} saw no {request!r}"


def reply_lost(name: str, *request: bytes) -> Row:
    """The engine does what it is asked, once, and nobody hears of it."""

    def fault(platform: Platform) -> float:
        assert platform.proxies[name].lose_reply(*request).wait(20), f"{name} saw no {request!r}"
        return time.time()

    return Row(f"reply lost: {name}", fault)


def _emptied(platform: Platform) -> float:
    time.sleep(1)
    platform.flush_state()
    return time.time()


def _rolled_back(platform: Platform) -> float:
    data = state_files(platform.folder)
    copy = platform.folder / "older"
    shutil.rmtree(copy, ignore_errors=True)
    time.sleep(0.5)
    shutil.copytree(data, copy)
    time.sleep(1.5)
    platform.state.kill()
    return roll_back(platform.state, data, copy)


def _poisoned(platform: Platform) -> float:
    time.sleep(0.5)
    platform.poison()
    return time.time()


def waiting_carts(seconds: float) -> Row:
    """Carts are filled, the profile service stops, the carts are paid for in time: nobody may count as having
    left, although the payments are processed long after the carts' time was over."""

    def fault(platform: Platform) -> float:
        time.sleep(_FILLED_AT + 0.2)
        platform.signal("profiles", signal.SIGSTOP)
        time.sleep(seconds)
        return platform.resume(["profiles"])

    def events(name: str, number: int, _: float, phones: Iterator[str]) -> list[Event]:
        paid_at = _FILLED_AT + WINDOW_SECONDS / 2
        return carts(name, number // 4, phones, filled_at=_FILLED_AT, paid_at=paid_at)

    return Row(f"profiles stopped for {seconds:.0f} s while carts wait to be paid", fault, events=events)


CALM = Row("nothing", lambda _: time.time())
STOPPED = Row("SIGSTOP until others have taken over, then SIGCONT", _stopped, seconds=10)
EMPTIED = Row("state emptied", _emptied)
ROLLED_BACK = Row("state rolled back to an older file", _rolled_back)
POISONED = Row("poison records in every topic", _poisoned)
OTHERS = [
    CALM,
    waiting_carts(60),
    STOPPED,
    churn(4, 5),
    *(cut_in_commit(name) for name in ("log", "state", "postgres")),
    *(engine_killed(name) for name in ("log", "state", "postgres")),
    *(black_holed(name, 8) for name in ("log", "state", "postgres")),
    *(slow(name, 0.2, 4) for name in ("log", "state", "postgres")),
    EMPTIED,
    ROLLED_BACK,
    POISONED,
]
