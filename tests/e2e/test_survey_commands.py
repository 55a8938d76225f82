"""A survey from the command line to the trait that its page sets, on the whole platform."""

from collections.abc import Iterator

import httpx
import pytest

from headrace.cli.shipped import example
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def test_a_shipped_survey_is_applied_linked_answered_and_deleted(api: Api) -> None:
    assert (
        "survey pece-o-plet version 1 live"
        in api.headrace("apply", "-f", example("surveys/pece-o-plet.yaml")).stdout
    )
    assert "pece-o-plet" in api.headrace("get", "surveys").stdout
    api.post("/v1/identify", {"userId": "dry", "traits": {"city": "Brno"}}).raise_for_status()
    wait_until(lambda: api.profile("user_id", "dry") is not None, 20)
    profile = api.profile("user_id", "dry")
    assert profile is not None
    profiles = api.stack.url("profiles")
    made = api.admin.post(f"{profiles}/v1/surveys/pece-o-plet/links", json={"profile_ids": [profile["id"]]})
    [item] = made.raise_for_status().json()["items"]
    assert item["link"].startswith(f"{profiles}/s/1.pece-o-plet.")
    page = httpx.get(item["link"])
    assert (page.status_code, "Jakou máte pleť?" in page.text) == (200, True)
    page = httpx.post(item["link"], data={"question": "typ", "answer": "dry"})
    assert "Jak citlivá je vaše pleť?" in page.text
    found = api.profile("user_id", "dry")
    assert found is not None
    assert found["traits"] == {"city": "Brno", "skin_type": "dry"}
    api.headrace("delete", "survey", "pece-o-plet")
    assert httpx.get(item["link"]).status_code == 404
