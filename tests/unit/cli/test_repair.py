"""`headrace republish` and `rebuild` against a stand-in service."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.console import Console

from headrace.cli.client import Refused
from headrace.cli.deployment import Deployment
from headrace.cli.repair import NotAPublisher, NotRebuilt, rebuild, republish
from tests.unit.cli.json_server import Answer, serving_json


class FakeService:
    """Answers a republish with `answer`; a rebuild's partitions become live after `looks` looks."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Answer = (200, {}, {"success": True, "records": 7})
        self.looks = 2
        self.elsewhere = 0

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "GET":
            self.looks -= 1
            state = "rebuilding" if self.looks > 0 else "live"
            return 200, {}, {"items": [{"partition": 0, "state": "live"}, {"partition": 1, "state": state}]}
        self.asked.append((target, json.loads(body)))
        if target == "/v1/republish":
            return self.answer
        return 200, {}, {"success": True, "partitions": [0, 1], "elsewhere": self.elsewhere}


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def deployment(fake: FakeService) -> Iterator[Deployment]:
    with serving_json(fake.respond) as url:
        yield Deployment.of(
            {"HEADRACE_PROFILES_URL": url, "HEADRACE_SEGMENTER_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"}
        )


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.mark.parametrize("service", ["profiles", "segmenter"])
def test_republish_says_how_many(
    service: str, fake: FakeService, deployment: Deployment, out: io.StringIO
) -> None:
    republish(deployment, Console(file=out, width=200), service=service, partition=1, from_seq=5)
    assert fake.asked == [("/v1/republish", {"partition": 1, "from_seq": 5})]
    assert out.getvalue() == f"{service} partition 1: 7 records published again from 5\n"


def test_a_refusal_is_the_services_own_words(fake: FakeService, deployment: Deployment, out: io.StringIO) -> None:
    fake.answer = (409, {}, {"success": False, "code": "not_owner", "message": "Ask another process."})
    with pytest.raises(Refused, match="Ask another process"):
        republish(deployment, Console(file=out), service="profiles", partition=1, from_seq=5)


def test_only_two_services_publish_again(deployment: Deployment, out: io.StringIO) -> None:
    with pytest.raises(NotAPublisher):
        republish(deployment, Console(file=out), service="ingest", partition=1, from_seq=5)


def test_rebuild_waits_until_every_partition_is_live(
    fake: FakeService, deployment: Deployment, out: io.StringIO
) -> None:
    fake.elsewhere = 2
    slept: list[float] = []
    rebuild(deployment, Console(file=out, width=200), partition=None, patience=60, sleep=slept.append)
    assert len(slept) == 1
    assert out.getvalue().splitlines() == [
        "rebuilding partitions 0, 1",
        "2 partitions belong to other processes; ask those as well",
        "2 partitions rebuilt",
    ]


def test_rebuild_does_not_wait_for_ever(fake: FakeService, deployment: Deployment, out: io.StringIO) -> None:
    fake.looks = 1_000
    times = iter(range(0, 1_000, 5))
    with pytest.raises(NotRebuilt, match="partitions 1 are not rebuilt after 10 s"):
        rebuild(
            *(deployment, Console(file=out)),
            partition=None,
            patience=10,
            clock=lambda: next(times),
            sleep=lambda _: None,
        )


def test_rebuild_need_not_wait(fake: FakeService, deployment: Deployment, out: io.StringIO) -> None:
    rebuild(deployment, Console(file=out), partition=1, patience=None)
    assert fake.asked == [("/v1/rebuild", {"partition": 1})]
    assert fake.looks == 2
