"""The life of segments from the command line, on the whole platform."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

SEGMENT = "kind: segment\nid: lively\nname: Lively\nwhen: {event: {name: Lively Order%s}}\n"
TWICE = ", count: {gte: 2}"


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def order(user: str, number: int) -> dict[str, object]:
    return {"type": "track", "event": "Lively Order", "userId": user, "messageId": f"lively-{user}-{number}"}


def test_a_list_is_filled_by_identifier_and_by_file(api: Api, tmp_path: Path) -> None:
    path = api.stack.url("segmenter") + "/v1/segments/lively-fans"
    api.admin.put(path, json={"kind": "list", "name": "Fans"}).raise_for_status()
    api.post("/v1/batch", {"batch": [order(f"fan-{number}", 1) for number in range(3)]}).raise_for_status()
    wait_until(lambda: api.profile("user_id", "fan-2") is not None, 20)
    done = api.headrace("list", "add", "lively-fans", "user_id:fan-0", "user_id:fan-1", "--key", "once")
    assert done.stdout == "2 added, 0 unchanged, 0 unknown\n"
    file = tmp_path / "fans.csv"
    file.write_text("type,value\nuser_id,fan-1\nuser_id,fan-2\n", encoding="utf-8")
    assert api.headrace("list", "add", "lively-fans", file).stdout == "1 added, 1 unchanged, 0 unknown\n"
    wait_until(lambda: len(api.members("lively-fans")) == 3, 20)
    api.headrace("list", "remove", "lively-fans", "user_id:fan-0")
    wait_until(lambda: len(api.members("lively-fans")) == 2, 20)
    assert api.headrace("verify", "lively-fans").stdout.endswith(", 0 differ\n")


def test_a_change_is_shown_applied_listed_and_taken_back(api: Api, tmp_path: Path) -> None:
    batch = [order("once", 1), order("twice", 1), order("twice", 2)]
    api.post("/v1/batch", {"batch": batch}).raise_for_status()
    file = tmp_path / "lively.yaml"
    file.write_text(SEGMENT % "", encoding="utf-8")
    api.headrace("apply", "-f", file, "--wait")
    wait_until(lambda: len(api.members("lively")) >= 2, 20)
    size = len(api.members("lively"))
    file.write_text(SEGMENT % TWICE, encoding="utf-8")
    wait_until(
        lambda: api.headrace("diff", "-f", file).stdout.startswith(
            f"segment lively: 0 would enter, {size - 1} leave, 1 stay\n"
        ),
        20,
    )
    done = api.headrace("apply", "--diff", "-f", file, "--wait")
    assert f"{size - 1} leave, 1 stay" in done.stdout
    wait_until(lambda: len(api.members("lively")) == 1, 20)
    rows = [line.split() for line in api.headrace("versions", "lively").stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["2", "live"], ["1", "superseded"]]
    assert "version 3 is what version 1 was" in api.headrace("restore", "lively", "1").stdout
    wait_until(lambda: len(api.members("lively")) == size, 20)
    assert api.headrace("verify", "--all", "--sample", "0.5").returncode == 0
