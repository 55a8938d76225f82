"""A whole platform to do harm to: engines of its own behind proxies, `headrace up` on them, failpoints."""

import asyncio
import contextlib
import itertools
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx
import redis

from headrace.log.connect import connect_log
from headrace.log.port import NewRecord
from headrace.runtime import failpoints
from tests import engines as embedded
from tests.e2e.api import Api
from tests.e2e.stack import UP, Stack
from tests.e2e.wait import wait_until
from tests.faults import engines
from tests.faults.disks import Disk, small_disk
from tests.faults.engines import Engine
from tests.faults.evidence import EVENTS, MESSAGES, PROFILE_EVENTS, SEGMENT_CHANGES, Document, Witness
from tests.faults.members import Members
from tests.faults.orders import DEFINITIONS, PROBE, Event, phones
from tests.faults.proxy import Proxy
from tests.faults.published import Findings, dead_letters
from tests.faults.recount import SEGMENTS, recount
from tests.faults.shoppers import Answered, Shoppers
from tests.faults.verified import check_reports

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
CONSUMERS = SERVICES[1:]
PARTITIONS = 4
PROBES = 8
STEADY_SECONDS = 2.0
INPUTS = (EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES, MESSAGES)


class Platform:
    """Runs while the context lasts. `log`, `state` and `postgres` are the engines, `proxies` stand before them by
    the same names. `answered` is everything that clients were ever told 200 for; `phones` has numbers for them."""

    def __init__(
        self,
        *,
        command: Sequence[str] = UP,
        event_log: Callable[[Path], Engine] = engines.event_log,
        disks: Mapping[str, int] | None = None,
    ) -> None:
        """`command` starts the platform; `event_log` makes its log, with its files in the folder given; `disks`
        says which engines' files have a disk of their own, of how many megabytes."""
        self._disk_sizes = disks or {}
        self.disks: dict[str, Disk | None] = {}
        self._stack_command = command
        self._event_log = event_log
        self._closing = contextlib.ExitStack()
        self.phones = phones()
        self._probes = 0
        self._names = itertools.count()
        self.poisoned = 0
        self.answered: list[Answered] = []

    def __enter__(self) -> "Platform":
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _open(self) -> None:
        enter = self._closing.enter_context
        self.folder = enter(embedded.data_folder())
        self.failpoints = self.folder / "failpoints"
        self.failpoints.mkdir()
        for name, size in self._disk_sizes.items():
            self.disks[name] = enter(small_disk(self.folder / name, size))
        self.log = self._event_log(self.folder)
        self.state = engines.state(self.folder)
        self.postgres = engines.postgres(self.folder)
        self.engines: dict[str, Engine] = {"log": self.log, "state": self.state, "postgres": self.postgres}
        for engine in self.engines.values():
            self._closing.callback(engine.stop)
            engine.start()
        self.proxies = {
            name: enter(Proxy(engine.proxy_port, engine.port)) for name, engine in self.engines.items()
        }
        environment = {
            "HEADRACE_LOG_URL": self.log.proxied_url,
            "HEADRACE_REDIS_URL": self.state.proxied_url,
            "HEADRACE_DATABASE_URL": self.postgres.proxied_url,
            "HEADRACE_PARTITIONS": str(PARTITIONS),
            "HEADRACE_TOPIC_PREFIX": "",
            "HEADRACE_FAILPOINTS": str(self.failpoints),
        }
        self.stack = enter(Stack(environment, data_dir=self.folder / "data", command=self._stack_command))
        self.api = Api(self.stack)
        self._closing.callback(self.api.close)
        self.witness = enter(
            Witness(
                log_url=self.log.url,
                database_url=self.postgres.url,
                redis_url=self.state.url,
                admin=self.api.admin,
                outbox=self.stack.outbox,
                partitions=PARTITIONS,
            )
        )
        definitions = self.folder / "definitions.yaml"
        definitions.write_text(DEFINITIONS, encoding="utf-8")
        self.api.headrace("apply", "-f", definitions)
        wait_until(lambda: self.api.all_live(*SEGMENTS), 30, what="the segments to be live")

    def new_name(self) -> str:
        """What nobody's name on this platform begins with yet."""
        return f"r{next(self._names)}"

    def shop(self, events: Sequence[Event]) -> Shoppers:
        """Clients begin to send these events."""
        return Shoppers(self.stack.ingest_url, self.stack.write_key, events)

    def arm(self, service: str, point: str, action: str = "kill", *, at: int = 1) -> None:
        failpoints.arm(self.failpoints, service, point, action, at=at)

    def wait_fired(self, service: str, point: str) -> float:
        """Wait until an armed point fires; the moment it did."""
        what = f"failpoint {service}.{point} to fire"
        return wait_until(lambda: failpoints.fired_at(self.failpoints, service, point), 30, what=what)

    def disarm(self, service: str, point: str) -> None:
        """Take a point back; what stands still there goes on."""
        failpoints.disarm(self.failpoints, service, point)

    def make_good(self) -> None:
        """Take back what a row may have left, so that the next one begins with a whole platform."""
        for path in self.failpoints.iterdir():
            path.unlink(missing_ok=True)
        for proxy in self.proxies.values():
            proxy.heal()
        for engine in self.engines.values():
            engine.start()
        with contextlib.suppress(ProcessLookupError):  # it is starting anew
            self.resume(SERVICES)

    def pid(self, service: str) -> int:
        """The process of a supervised service, as soon as there is one."""
        return wait_until(lambda: self.stack.pids().get(service), what=f"{service} to run")

    def signal(self, service: str, number: signal.Signals) -> None:
        """Send a signal to a supervised service."""
        os.kill(self.pid(service), number)

    def resume(self, services: Sequence[str]) -> float:
        """SIGCONT; the moment of it."""
        for service in services:
            self.signal(service, signal.SIGCONT)
        return time.time()

    @contextlib.contextmanager
    def members(
        self,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        *,
        services: Sequence[str] = CONSUMERS,
    ) -> Iterator[Members]:
        """A second process of every consumer, beside the supervised one, while the context lasts; in some what
        `environments` says is otherwise."""
        with Members(self.folder, self.stack, environments) as members:
            for service in services:
                members.restart(service)
            yield members

    def rebuild(self) -> None:
        """Ask the segmenter for a rebuild of every partition."""
        self.api.admin.post(f"{self.stack.segmenter_url}/v1/rebuild", json={}).raise_for_status()

    def wait_replaced(self, service: str, pid: int) -> None:
        """Wait until another process than `pid` serves."""
        wait_until(lambda: self.stack.pids().get(service, pid) != pid, 60, what=f"another {service}")
        wait_until(lambda: self._is_ready(service), 60, what=f"{service} to be ready")

    def _is_ready(self, service: str) -> bool:
        try:
            return self.api.admin.get(f"{self.stack.url(service)}/readyz").is_success
        except httpx.TransportError:
            return False

    def said(self, service: str) -> str:
        """The whole log of a supervised service."""
        return (self.folder / "data" / "logs" / f"{service}.log").read_text("utf-8", "replace")

    def flush_state(self) -> None:
        """Empty the segmenter's Redis."""
        with redis.Redis.from_url(self.state.url) as client:
            client.flushall()

    def poison(self) -> None:
        """Append a record that is none to each topic that a service reads: each must be set aside."""
        asyncio.run(self._poison())
        self.poisoned += len(INPUTS)

    async def _poison(self) -> None:
        log = await connect_log(self.log.url, rollback_horizon_ms=600_000)
        for number, topic in enumerate(INPUTS):
            await log.append(topic, number % PARTITIONS, [NewRecord(b"poison", b"{\xff")])
        await log.close()

    def recovered(self, patience: float) -> float:
        """Wait until every service is ready and what is posted reaches membership within two seconds; the moment
        it was so first, infinite when it does not come to that within `patience` seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.answered += self.shop(self._new_probes()).finish()
            with contextlib.suppress(AssertionError):
                wait_until(self._all_probed, STEADY_SECONDS)
                return time.time()
        return math.inf

    def settled(self, patience: float) -> Findings:
        """Recount until nothing differs, for at most `patience` seconds; what differs at last."""
        deadline = time.monotonic() + patience
        while True:
            try:
                findings = self._recounted()
            except httpx.HTTPError as error:  # a service that died again
                findings = Findings([f"a service does not answer: {error!r}"])
            if not findings or time.monotonic() > deadline:
                return findings
            time.sleep(0.25)

    def verify(self, findings: Findings, patience: float) -> int:
        """Have the segmenter compare every segment, whole, with the second evaluator, within `patience` seconds;
        how many memberships it looked at. Everybody must be among them."""
        reports = wait_until(self._reports, patience, what="the segmenter to verify")
        return check_reports(reports, len(self.witness.evidence.profiles()), findings)

    def _reports(self) -> dict[str, Document] | None:
        try:
            return self.witness.verified(self.stack.segmenter_url, SEGMENTS)
        except httpx.TransportError:  # it died again
            return None

    def _recounted(self) -> Findings:
        evidence = self.witness.look(self.stack.segmenter_url, self.stack.messenger_url, SEGMENTS)
        findings = recount(self.answered, evidence)
        findings.compare("dead letters", self.poisoned, dead_letters(evidence).total())
        return findings

    def _new_probes(self) -> list[Event]:
        first, self._probes = self._probes, self._probes + PROBES
        users = [f"probe-{number}" for number in range(first, first + PROBES)]
        return [Event(user, f"{user}:probe", PROBE, 0.0) for user in users]

    def _all_probed(self) -> bool:
        try:
            for service in SERVICES:
                self.api.admin.get(f"{self.stack.url(service)}/readyz").raise_for_status()
            return bool(self.api.get("segmenter", "/v1/segments/probed")["size"] >= self._probes)
        except httpx.HTTPError:  # down, or its engine is
            return False
