"""`headrace diff`, `apply --diff`, `preview`, `verify`, `versions`, `restore` and `list` against a stand-in."""

import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.cli import definitions, inspection, lists, versions
from headrace.cli.client import Refused
from headrace.cli.deployment import Deployment
from tests.unit.cli.json_server import Answer, serving_json

SEGMENT = "kind: segment\nid: vip\nname: VIP\nwhen: {trait: {name: plan, eq: gold}}\n"
DIFF = {
    "entering": 12,
    "leaving": 1,
    "staying": 3,
    "sample_entering": ["p1", "p2"],
    "sample_leaving": ["p3"],
    "dependents": ["fans"],
}
VERIFIED = {"checked": 4, "mismatches": 0, "skipped": 0, "examples": [], "repairs": 0}


class Segmenter:
    """Answers what `answers` has for `METHOD path`, in turn; the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, Any, Mapping[str, str]]] = []

    def will(self, request: str, document: Any, status: int = 200) -> None:
        self.answers.setdefault(request, []).append((status, {}, document))

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        request = f"{method} {target}"
        plain = "json" not in headers.get("content-type", "json")
        self.asked.append((request, body if plain else json.loads(body or b"null"), headers))
        waiting = self.answers[request]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter()


@pytest.fixture
def deployment(segmenter: Segmenter) -> Iterator[Deployment]:
    with serving_json(segmenter.answer) as url:
        yield Deployment.of({"HEADRACE_SEGMENTER_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"})


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vip.yaml"
    path.write_text(SEGMENT, encoding="utf-8")
    return path


def said(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.lstrip("│├└─ ").rstrip() for line in console.file.getvalue().splitlines()]


def test_a_diff_says_how_many_move_and_who(
    segmenter: Segmenter, deployment: Deployment, console: Console, file: Path
) -> None:
    stage = {"id": "new", "segment_id": "vip-new", **dict.fromkeys(("entering", "leaving", "staying"), 1)}
    segmenter.will("POST /v1/segments/vip/diff", {**DIFF, "stages": [stage]})
    inspection.diff([file], deployment, console)
    assert said(console) == [
        "segment vip: 12 would enter, 1 leave, 3 stay",
        "new: 1 would enter, 1 leave, 1 stay",
        "entering: p1, p2, …",
        "leaving: p3",
        "asked for by fans",
    ]
    assert segmenter.asked[0][1]["when"] == {"trait": {"name": "plan", "eq": "gold"}}


def test_apply_shows_the_diff_before_it_puts(
    segmenter: Segmenter, deployment: Deployment, console: Console, file: Path
) -> None:
    segmenter.will("POST /v1/segments/vip/diff", {**DIFF, "dependents": []})
    segmenter.will("PUT /v1/segments/vip", {"id": "vip", "version": 2, "status": "backfilling"})
    before = partial(inspection.show_diff, deployment=deployment, console=console)
    definitions.apply([file], deployment, console, wait=None, before=before)
    assert [request for request, _, _ in segmenter.asked] == ["POST /v1/segments/vip/diff", "PUT /v1/segments/vip"]
    assert said(console)[0] == "segment vip: 12 would enter, 1 leave, 3 stay"
    assert said(console)[-1] == "segment vip version 2 backfilling"


def test_a_preview_counts_stages_one_by_one(
    segmenter: Segmenter, deployment: Deployment, console: Console, file: Path
) -> None:
    stages = [{"id": "new", "segment_id": "vip-new", "count": 2, "sample": []}]
    segmenter.will("POST /v1/segments/preview", {"count": 5, "sample": [], "stages": stages})
    inspection.preview(file, deployment, console)
    assert said(console) == ["segment vip would have 5 members", "new 2"]


def test_verify_takes_all_live_segments_and_passes_over_what_just_ended(
    segmenter: Segmenter, deployment: Deployment, console: Console
) -> None:
    segmenter.will("GET /v1/segments?status=live", {"items": [{"id": "a"}, {"id": "b"}], "next": None})
    segmenter.will("POST /v1/segments/a/verify", {"code": "not_live", "message": "It is not live."}, 409)
    segmenter.will("POST /v1/segments/b/verify", {**VERIFIED, "skipped": 2})
    assert inspection.verify([], deployment, console, everything=True, sample="0.5") == 0
    assert said(console) == [
        "segment a: segmenter: It is not live.",
        "segment b: 4 compared, 0 differ, 2 skipped",
    ]
    assert segmenter.asked[-1][1] == {"sample": 0.5, "repair": False}


def test_a_segment_that_was_named_must_be_there(
    segmenter: Segmenter, deployment: Deployment, console: Console
) -> None:
    segmenter.will("POST /v1/segments/a/verify", {"code": "not_live", "message": "It is not live."}, 409)
    with pytest.raises(Refused):
        inspection.verify(["a"], deployment, console)


def test_who_differs_is_shown_with_both_reasons(
    segmenter: Segmenter, deployment: Deployment, console: Console
) -> None:
    event = {"name": ["Order Completed"], "count": {"gte": 2}}
    incremental = {"when": {"result": True, "event": event, "value": 2, "events": []}}
    batch = {"result": True, "condition": {"event": event}, "value": 2, "events": ["m1", "m2"]}
    example = {
        **{"profile_id": "p1", "segment_id": "often", "expected": True, "known": False, "member": False},
        **{"listed": True, "incremental": incremental, "batch": batch},
    }
    found = {**VERIFIED, "mismatches": 1, "repairs": 1, "examples": [example]}
    segmenter.will("POST /v1/segments/often/verify", found)
    assert inspection.verify(["often"], deployment, console, sample="500", repair=True) == 1
    assert segmenter.asked[-1][1] == {"sample": 500, "repair": True}
    assert said(console) == [
        "segment often: 4 compared, 1 differ, 1 put right",
        "p1 is not in Redis, but is listed of often and should be one",
        "from history, as the stream counts",
        "yes event Order Completed count gte 2: value 2",
        "from history, as the second evaluator counts",
        "yes event Order Completed count gte 2: value 2",
        "m1",
        "m2",
    ]


@pytest.mark.parametrize(
    ("segments", "everything", "sample", "error"),
    [
        ([], False, None, inspection.WhichSegments),
        (["a"], True, None, inspection.WhichSegments),
        (["a"], False, "some", inspection.NoSample),
    ],
)
def test_verify_must_know_what_to_look_at(
    deployment: Deployment, console: Console, segments: list[str], everything: bool, sample: Any, error: Any
) -> None:
    with pytest.raises(error):
        inspection.verify(segments, deployment, console, everything=everything, sample=sample)


def test_versions_are_listed_and_restored(segmenter: Segmenter, deployment: Deployment, console: Console) -> None:
    item = {"number": 2, "state": "live", "created_at": "2026-01-01T00:00:00.000Z", "name": "VIP"}
    segmenter.will("GET /v1/segments/vip/versions", {"items": [item], "next": None})
    segmenter.will("POST /v1/segments/vip/versions/1/restore", {"version": 3, "status": "backfilling"})
    versions.versions("vip", deployment, console)
    versions.restore("vip", 1, deployment, console)
    assert said(console)[1].split() == ["2", "live", "2026-01-01T00:00:00.000Z", "VIP"]
    assert said(console)[2] == "segment vip version 3 is what version 1 was: backfilling"


def test_members_are_named_or_come_in_a_file(
    segmenter: Segmenter, deployment: Deployment, console: Console, tmp_path: Path
) -> None:
    unknown = {"type": "email", "value": "j@shop.test"}
    segmenter.will("POST /v1/segments/fans/members", {"applied": 1, "unchanged": 0, "unknown": [unknown, "p9"]})
    who = ["p1", "p9", "email:j@shop.test"]
    assert lists.change("add", "fans", who, deployment, console, key="k") == 1
    assert said(console) == ["1 added, 0 unchanged, 2 unknown", "email:j@shop.test", "p9"]
    _, body, headers = segmenter.asked[-1]
    assert (body, headers["idempotency-key"]) == ({"add": ["p1", "p9", unknown]}, "k")

    segmenter.will("POST /v1/segments/fans/members?action=remove", {"applied": 1, "unchanged": 2, "unknown": []})
    path = tmp_path / "fans.csv"
    path.write_bytes(b"profile_id\np1\n")
    assert lists.change("remove", "fans", [str(path)], deployment, console, key=None) == 0
    _, body, headers = segmenter.asked[-1]
    assert (body, headers["content-type"]) == (b"profile_id\np1\n", "text/csv")
    assert headers["idempotency-key"]


def test_a_file_that_is_not_there_is_said(deployment: Deployment, console: Console) -> None:
    with pytest.raises(lists.NoMembers, match=r"cannot read no\.csv: No such file"):
        lists.change("add", "fans", ["no.csv"], deployment, console, key=None)
