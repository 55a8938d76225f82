"""`headrace rfm` against a stand-in service."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.console import Console

from headrace.cli.client import Refused
from headrace.cli.deployment import Deployment
from headrace.cli.rfm import compute, show
from tests.unit.cli.json_server import Answer, serving_json

ITEM: dict[str, Any] = {
    "population": "{}",
    "event": ["Order Completed", "Order Refunded"],
    "of": "properties.total",
    "within_ms": 36 * 3_600_000,
    "segments": ["champions", "top"],
    "version": 3,
    "at": "2026-11-27T10:00:00.000Z",
    "computed_at": "2026-11-27T12:00:00.000Z",
    "recency": ["2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z"],
    "frequency": [1, 2],
    "monetary": ["-0.5", "100"],
    "customers": 3,
    "classes": {"champions": 1, "loyal": 0, "hibernating": 2},
}
NEW: dict[str, Any] = {**ITEM, "within_ms": None, "version": None, "segments": ["new"]}
SHOWN = """\
Order Completed or Order Refunded, properties.total, last 1.5 days: champions, top
  version 3 of 2026-11-27T10:00:00.000Z, computed 2026-11-27T12:00:00.000Z, 3 customers
  recency   2026-11-01T00:00:00.000Z | 2026-11-02T00:00:00.000Z
  frequency 1 | 2
  monetary  -0.5 | 100
  classes   1 champions, 2 hibernating
"""


class FakeSegmenter:
    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [ITEM, NEW]
        self.asked: list[Any] = []

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "GET":
            return 200, {}, {"items": self.items, "next": None}
        self.asked.append((target, json.loads(body)))
        if json.loads(body).get("segment_id") == "nobody":
            return 404, {}, {"success": False, "code": "unknown_segment", "message": "There is no segment."}
        return 200, {}, {"items": [ITEM], "next": None}


@pytest.fixture
def fake() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture
def deployment(fake: FakeSegmenter) -> Iterator[Deployment]:
    with serving_json(fake.respond) as url:
        yield Deployment.of({"HEADRACE_SEGMENTER_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"})


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def console(out: io.StringIO) -> Console:
    return Console(file=out, width=200)


def test_show_prints_every_population(deployment: Deployment, out: io.StringIO) -> None:
    show(deployment, console(out))
    new = "Order Completed or Order Refunded, properties.total, lifetime: new\n  not computed yet\n"
    assert out.getvalue() == SHOWN + new


def test_show_says_when_there_is_none(fake: FakeSegmenter, deployment: Deployment, out: io.StringIO) -> None:
    fake.items = []
    show(deployment, console(out))
    assert out.getvalue() == "no segment has an rfm condition\n"


@pytest.mark.parametrize(("segment", "body"), [(None, {}), ("top", {"segment_id": "top"})])
def test_compute_asks_and_prints_what_came_out(
    segment: str | None, body: object, fake: FakeSegmenter, deployment: Deployment, out: io.StringIO
) -> None:
    compute(deployment, console(out), segment=segment, patience=10)
    assert fake.asked == [("/v1/rfm/compute", body)]
    assert out.getvalue() == SHOWN


def test_what_the_segmenter_refuses_is_said(deployment: Deployment, out: io.StringIO) -> None:
    with pytest.raises(Refused, match="There is no segment"):
        compute(deployment, console(out), segment="nobody", patience=10)
