"""Several processes of every service share one Kafka with twelve partitions. They join, die and leave while events
come: what was answered stands everywhere once."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from headrace.contracts.topics import MESSENGER_GROUP, PROFILES_GROUP, SEGMENTER_GROUP
from tests.e2e.api import Api
from tests.e2e.crowd import Crowd
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.faults.evidence import Witness
from tests.faults.orders import DEFINITIONS, phones, shopping
from tests.faults.published import Findings, dead_letters
from tests.faults.recount import SEGMENTS, recount
from tests.faults.shoppers import Answered, Shoppers
from tests.faults.verified import check_reports
from tests.kafka import admin
from tests.servers import LOG_URL

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PARTITIONS = 12
EVENTS = 1_200
SECONDS = 15.0
PATIENCE_SECONDS = 60.0
GROUPS = (PROFILES_GROUP, SEGMENTER_GROUP, MESSENGER_GROUP)
Counts = Mapping[str, int]
"""How many members a group has."""
ALL: Counts = dict(zip(GROUPS, (3, 3, 2), strict=True))
# one of each belongs to the stack
CONSUMERS = ("profiles-2", "profiles-3", "segmenter-2", "segmenter-3", "messenger-2")


class Town:
    """A stack with twelve partitions, and everybody who is to be counted."""

    def __init__(self, folder: Path) -> None:
        self._closing = ExitStack()
        enter = self._closing.enter_context
        self.stack = enter(Stack({"HEADRACE_PARTITIONS": str(PARTITIONS)}))
        self._api = Api(self.stack)
        self._closing.callback(self._api.close)
        self.crowd = enter(Crowd(folder, self.stack))
        self._brokers = os.environ[LOG_URL].removeprefix("kafka://")
        self._prefix = self.stack.env["HEADRACE_TOPIC_PREFIX"]
        self._witness = enter(
            Witness(
                log_url=self.stack.env["HEADRACE_LOG_URL"],
                database_url=self.stack.env["HEADRACE_DATABASE_URL"],
                redis_url=self.stack.env["HEADRACE_REDIS_URL"],
                admin=self._api.admin,
                outbox=self.stack.outbox,
                partitions=PARTITIONS,
                topic_prefix=self._prefix,
            )
        )
        (definitions := folder / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
        self._api.headrace("apply", "-f", definitions, "--wait")

    def close(self) -> None:
        self._closing.close()

    def wait_shared(self, members: Counts) -> None:
        """Wait until each group has so many members, all partitions among them, none twice, and each has as many
        as the others."""
        for group, count in members.items():
            fair = [PARTITIONS // count] * count
            wait_until(partial(self._is_shared, group, fair), PATIENCE_SECONDS, what=f"{count} members of {group}")

    def _is_shared(self, group: str, wanted: list[int]) -> bool:
        shares = admin.shares(self._brokers, self._prefix + group)
        whole = set().union(*shares) == set(range(PARTITIONS))
        return whole and sorted(map(len, shares)) == wanted

    def wait_worked(self, *names: str) -> None:
        """Wait until each of these has applied records of its partitions."""
        for name in names:
            wait_until(partial(self.crowd.applied, name), PATIENCE_SECONDS, what=f"{name} to apply anything")

    def findings(self, answered: list[Answered]) -> Findings:
        """What differs from what was answered, once nothing does or patience ends; and what the second evaluator
        says then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            evidence = self._witness.look(self.stack.segmenter_url, self.stack.messenger_url, SEGMENTS)
            findings = recount(answered, evidence)
            findings.compare("dead letters", 0, dead_letters(evidence).total())
            if not findings or time.monotonic() > deadline:
                break
            time.sleep(0.25)
        reports = self._witness.verified(self.stack.segmenter_url, SEGMENTS)
        check_reports(reports, len(evidence.profiles()), findings)
        return findings


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    try:
        yield town
    finally:
        town.close()


def _shoppers(town: Town) -> list[Shoppers]:
    """Half of the customers go to one process of ingest, half to the other."""
    numbers, urls = phones(), (town.stack.ingest_url, town.crowd.url("ingest-2"))
    return [
        Shoppers(url, town.stack.write_key, shopping(f"m{half}", EVENTS // 2, SECONDS, numbers))
        for half, url in enumerate(urls)
    ]


def _rotate(town: Town) -> None:
    """Of each service one process dies and is followed by another; then one of them leaves in peace."""
    crowd = town.crowd
    town.wait_shared(ALL)
    town.wait_worked(*CONSUMERS)
    crowd.kill("ingest-2", "profiles-2", "segmenter-2", "messenger-2")
    crowd.join("ingest-2")
    town.stack.kill_service("ingest")
    town.wait_shared({PROFILES_GROUP: 2, SEGMENTER_GROUP: 2, MESSENGER_GROUP: 1})
    crowd.join("profiles-2", "segmenter-2", "messenger-2")
    town.wait_shared(ALL)
    crowd.leave("ingest-2", "profiles-3", "segmenter-3", "messenger-2")
    crowd.join("ingest-2")
    town.wait_shared({PROFILES_GROUP: 2, SEGMENTER_GROUP: 2, MESSENGER_GROUP: 1})


def test_processes_come_and_go_and_everything_happens_once(town: Town) -> None:
    town.crowd.join("ingest-2", *CONSUMERS)
    wait_until(lambda: town.crowd.ready("ingest-2"), PATIENCE_SECONDS, what="a second ingest")

    shoppers = _shoppers(town)
    try:
        _rotate(town)
    finally:
        answered = [one for each in shoppers for one in each.finish()]
    findings = town.findings(answered)

    assert len(answered) >= EVENTS
    assert not findings, str(findings)
