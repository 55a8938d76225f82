"""kill -9 of the profile service in the middle of a merge or an unmerge: asked again, it is done once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from headrace.runtime import failpoints
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("failpoints")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with Stack({"HEADRACE_FAILPOINTS": str(folder)}) as stack:
        api = Api(stack)
        yield api
        api.close()


def in_spite_of_a_kill(api: Api, folder: Path, point: str, ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer once the service, killed at `point`, is back and asked again."""
    pid = api.stack.pids()["profiles"]
    failpoints.arm(folder, "profiles", point)
    with pytest.raises(httpx.TransportError):
        ask()
    api.stack.wait_restarted("profiles", pid, 60)
    return ask()


def kinds(api: Api, profile_id: str) -> list[str]:
    return [item["kind"] for item in api.timeline(profile_id)]


def known(api: Api, cookie: str) -> str:
    wait_until(lambda: api.profile("anonymous_id", cookie) is not None, 30, what=f"the profile of {cookie}")
    profile = api.profile("anonymous_id", cookie)
    assert profile is not None
    return str(profile["id"])


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_a_merge_and_an_unmerge_are_done_once(api: Api, folder: Path, point: str) -> None:
    one, two = f"one-{point}", f"two-{point}"
    for cookie in (one, two):
        api.post("/v1/track", {"event": "Looked", "anonymousId": cookie, "messageId": f"look-{cookie}"})
    winner, loser = known(api, one), known(api, two)
    url = f"{api.stack.profiles_url}/v1/profiles"

    answer = in_spite_of_a_kill(
        api, folder, point, lambda: api.admin.post(f"{url}/{loser}/merge", json={"into": winner})
    )
    assert answer.status_code == 200
    assert known(api, two) == winner
    assert sorted(kinds(api, winner)) == ["event", "event", "merge", "tombstone"]

    wanted = {"identifier": {"type": "anonymous_id", "value": two}, "id": f"ticket-{point}"}
    answer = in_spite_of_a_kill(api, folder, point, lambda: api.admin.post(f"{url}/{winner}/unmerge", json=wanted))
    done = answer.raise_for_status().json()
    assert (done["id"], done["into"], done["moved"]) == (winner, known(api, two), 1)
    assert sorted(kinds(api, winner)) == ["event", "merge", "unmerge"]
    assert sorted(kinds(api, done["into"])) == ["event", "split", "tombstone"]
