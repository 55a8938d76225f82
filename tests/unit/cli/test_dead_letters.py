"""`headrace dead-letters` against a stand-in of ingest."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from headrace.cli.dead_letters import WhichLetters, replay, show
from headrace.cli.deployment import Deployment
from tests.unit.cli.json_server import Answer, serving_json


def letter(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"d{number}",
        "at": "2026-01-01T00:00:00.000Z",
        "reason": "invalid_timestamp",
        "detail": "Send timestamp as ISO-8601.",
        "origin_topic": "http",
        "origin_partition": None,
        "origin_offset": None,
        "source": "web",
        "message_id": f"m{number}",
        "raw": "{}",
        **fields,
    }


class FakeLetters:
    """Ten letters in pages of `limit`; replays two a request, refuses what `refused` names."""

    def __init__(self) -> None:
        self.letters = [letter(number) for number in range(10)]
        self.refused: set[str] = set()
        self.asked: list[Any] = []

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        query = parse_qs(urlsplit(target).query)
        if method == "GET":
            size, start = int(query["limit"][0]), int(query.get("cursor", ["0"])[0])
            return self._page(self.letters, start, size)
        asked = json.loads(body)
        self.asked.append(asked)
        start = int(asked["cursor"] or 0)
        scanned = self.letters[start : start + 2]
        wanted = [one for one in scanned if one["id"] in asked.get("ids", [one["id"]])]
        following = str(start + 2) if start + 2 < len(self.letters) else None
        return 200, {}, {"items": [self._outcome(one["id"]) for one in wanted], "next": following}

    def _outcome(self, id: str) -> dict[str, Any]:
        if id in self.refused:
            return {"id": id, "outcome": "refused", "reason": "no_identifier", "detail": "Send a userId."}
        return {"id": id, "outcome": "accepted", "reason": None, "detail": None}

    def _page(self, letters: list[dict[str, Any]], start: int, size: int) -> Answer:
        following = str(start + size) if start + size < len(letters) else None
        return 200, {}, {"items": letters[start : start + size], "next": following}


@pytest.fixture
def fake() -> FakeLetters:
    return FakeLetters()


@pytest.fixture
def deployment(fake: FakeLetters) -> Iterator[Deployment]:
    with serving_json(fake.answer) as url:
        yield Deployment.of({"HEADRACE_INGEST_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"})


@contextmanager
def console() -> Iterator[tuple[Console, io.StringIO]]:
    out = io.StringIO()
    yield Console(file=out, width=200), out


def test_the_list_is_a_table_of_as_many_as_asked(deployment: Deployment) -> None:
    with console() as (terminal, out):
        show(deployment, terminal, reason=None, limit=3, as_json=False)
    head, *rows = out.getvalue().splitlines()
    assert head.split() == ["id", "at", "reason", "from", "messageId", "detail"]
    assert [row.split()[0] for row in rows] == ["d0", "d1", "d2"]
    assert "http web" in rows[0]


def test_the_list_as_json_has_one_whole_letter_a_line(deployment: Deployment, fake: FakeLetters) -> None:
    fake.letters[0] = letter(0, origin_topic="t", origin_partition=1, origin_offset=2, raw="[red]" + "x" * 300)
    with console() as (terminal, out):
        show(deployment, terminal, reason=None, limit=100, as_json=True)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == fake.letters


def test_everything_is_replayed_page_by_page(deployment: Deployment) -> None:
    with console() as (terminal, out):
        assert replay(deployment, terminal, ids=[], reason=None, everything=True) == 0
    assert out.getvalue() == "10 replayed, 0 refused again\n"


def test_what_is_refused_again_is_said_and_is_an_error(deployment: Deployment, fake: FakeLetters) -> None:
    fake.refused = {"d3"}
    with console() as (terminal, out):
        assert replay(deployment, terminal, ids=[], reason="invalid_timestamp", everything=False) == 1
    assert out.getvalue().splitlines() == [
        "d3 refused: no_identifier: Send a userId.",
        "9 replayed, 1 refused again",
    ]
    assert {asked["reason"] for asked in fake.asked} == {"invalid_timestamp"}


def test_ids_are_looked_for_until_all_are_found(deployment: Deployment, fake: FakeLetters) -> None:
    with console() as (terminal, _):
        assert replay(deployment, terminal, ids=["d1", "d3"], reason=None, everything=False) == 0
    assert [asked["ids"] for asked in fake.asked] == [["d1", "d3"], ["d3"]]


def test_an_id_that_nobody_knows_is_an_error(deployment: Deployment) -> None:
    with console() as (terminal, out):
        assert replay(deployment, terminal, ids=["d1", "d99"], reason=None, everything=False) == 1
    assert "d99 is not among the dead letters" in out.getvalue()


@pytest.mark.parametrize(
    ("ids", "reason", "everything"), [([], None, False), (["d1"], "x", False), ([], "x", True)]
)
def test_it_must_be_said_which_letters(
    deployment: Deployment, ids: list[str], reason: str | None, everything: bool
) -> None:
    with console() as (terminal, _), pytest.raises(WhichLetters):
        replay(deployment, terminal, ids=ids, reason=reason, everything=everything)
