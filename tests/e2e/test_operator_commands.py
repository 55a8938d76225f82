"""The commands that mend, as an operator runs them."""

import asyncio
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.e2e.api import Api
from tests.e2e.ingest_rig import WRITE_KEY, collected, running_ingest
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

SEGMENT = """
kind: segment
id: mended
name: Mended
when: {event: {name: Mended Order}}
"""


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file = tmp_path_factory.mktemp("mended") / "segment.yaml"
    file.write_text(SEGMENT, encoding="utf-8")
    api = Api(stack)
    api.headrace("apply", "-f", file, "--wait")
    yield api
    api.close()


def order(user: str, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Mended Order", "userId": user, "messageId": f"order-{user}", **fields}


def dead_letters(ingest_url: str, *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of `headrace dead-letters` against an ingest service."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    done = subprocess.run(
        (sys.executable, "-m", "headrace.cli.main", "dead-letters", *arguments),
        env={**clean, "HEADRACE_INGEST_URL": ingest_url, "HEADRACE_ADMIN_TOKEN": "test-admin-token"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_a_dead_letter_becomes_an_event_once_the_limit_is_raised(log_url: str, topic_prefix: str) -> None:
    prefix = {"HEADRACE_TOPIC_PREFIX": topic_prefix}
    large = order("letter-1", properties={"note": "x" * 4_000})
    with running_ingest(log_url, **prefix, HEADRACE_INGEST_MAX_EVENT_BYTES="2000") as url:
        batch = {"batch": [large, order("letter-2", timestamp="never")]}
        answer = httpx.post(f"{url}/v1/batch", json=batch, auth=(WRITE_KEY, ""))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
        code, (line,) = dead_letters(url, "list", "--json", "--reason", "event_too_large")
        letter = json.loads(line)
        assert (code, json.loads(letter["raw"])) == (0, large)
        code, lines = dead_letters(url, "replay", letter["id"])
        assert (code, lines[-1]) == (1, "0 replayed, 1 refused again")

    with running_ingest(log_url, **prefix) as url:
        assert dead_letters(url, "replay", letter["id"]) == (0, ["1 replayed, 0 refused again"])
        code, lines = dead_letters(url, "replay", "--all")
        assert (code, lines[-1]) == (1, "1 replayed, 1 refused again")
        assert " refused: invalid_timestamp: " in lines[0]
    events = asyncio.run(collected(log_url, topic_prefix))
    assert [event.message_id for event in events] == ["order-letter-1"] * 2
    assert msgspec.json.encode(events[0]) == msgspec.json.encode(events[1])


def test_rebuild_and_republish_leave_members_and_changes_as_they_are(api: Api) -> None:
    batch = [order(f"rebuilt-{number}") for number in range(20)]
    assert api.post("/v1/batch", {"batch": batch}).status_code == 200
    assert api.headrace("rebuild").stdout.endswith("4 partitions rebuilt\n")
    wait_until(lambda: len(api.members("mended")) == 20, 20)
    done = api.headrace("republish", "--partition", "0", "--from-seq", "1")
    assert "records published again from 1" in done.stdout
    assert api.headrace("verify", "mended").stdout.endswith(", 0 differ\n")
    assert len(api.members("mended")) == 20


def test_members_are_exported_to_a_file_and_as_of_an_instant(api: Api, tmp_path: Path) -> None:
    traits = {"type": "identify", "userId": "exported", "traits": {"email": "exported@example.com"}}
    assert api.post("/v1/batch", {"batch": [traits, order("exported")]}).status_code == 200
    file = tmp_path / "mended.csv"

    def exported() -> bool:
        api.headrace("export", "mended", "--output", file)
        with file.open(newline="", encoding="utf-8") as text:
            rows = {row["user_id"]: row for row in csv.DictReader(text)}
        return rows.get("exported", {}).get("email") == "exported@example.com"

    wait_until(exported, 20)
    members = [
        json.loads(line) for line in api.headrace("export", "mended", "--format", "ndjson").stdout.splitlines()
    ]
    assert {member["profile_id"] for member in members} == api.members("mended")
    (entered_at,) = (member["entered_at"] for member in members if member["user_id"] == "exported")

    def remembered() -> bool:
        then = api.headrace("export", "mended", "--format", "ndjson", "--at", entered_at).stdout
        return "exported@example.com" in then

    wait_until(remembered, 20)
    done = api.headrace("export", "none", check=1)
    assert done.stderr.startswith("headrace: segmenter: There is no segment 'none'")


def test_what_cannot_be_is_said_in_one_line(api: Api) -> None:
    done = api.headrace("republish", "--partition", "99", "--from-seq", "1", check=1)
    assert done.stderr == "headrace: profiles: Send a partition below 4.\n"
