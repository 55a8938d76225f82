"""Tokens made by the command, on all services of a running stack."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

READS = {
    "ingest": "/v1/plans",
    "profiles": "/v1/profiles/count",
    "segmenter": "/v1/segments",
    "messenger": "/v1/campaigns",
}
"""What the scope read opens, one route of each service."""
WRITES = {
    "ingest": ("PUT", "/v1/sources/refused"),
    "profiles": ("DELETE", "/v1/profiles/refused"),
    "segmenter": ("PUT", "/v1/segments/refused"),
    "messenger": ("PUT", "/v1/campaigns/refused"),
}
SOON = 4.0
"""Seconds. Shorter than what is between two looks without a notice, so that the notice is what is waited for."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def make_token(api: Api, name: str, *scopes: str) -> tuple[str, str]:
    """The token and its id, as the command tells them."""
    options = [part for scope in scopes for part in ("--scope", scope)]
    token, told, *_ = api.headrace("tokens", "add", name, *options).stdout.splitlines()
    return token, told.split()[2]


def answers(api: Api, service: str, token: str, wanted: int, seconds: float) -> None:
    """Wait until the service answers so to a request of this token that only reads."""
    what = f"{service} to answer {wanted}"
    wait_until(lambda: status(api, service, token) == wanted, seconds, what=what)


def status(api: Api, service: str, token: str, method: str = "GET", path: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    url = api.stack.url(service) + (path or READS[service])
    return httpx.request(method, url, headers=headers, json={}, timeout=30, trust_env=False).status_code


def test_a_token_opens_what_its_scope_names_until_it_is_revoked_on_every_service(api: Api) -> None:
    token, token_id = make_token(api, "reader", "read")
    for service in READS:
        answers(api, service, token, 200, SOON)
    for service, (method, path) in WRITES.items():
        assert status(api, service, token, method, path) == 403, service
    assert "reader" in api.headrace("tokens", "list").stdout
    api.admin.delete(f"{api.stack.ingest_url}/v1/tokens/{token_id}").raise_for_status()
    revoked = time.monotonic()
    for service in READS:
        answers(api, service, token, 401, max(0.1, SOON - (time.monotonic() - revoked)))


def test_what_is_done_stands_in_the_audit_log_of_all_services(api: Api) -> None:
    customer = "access-audited"
    for service, (method, path) in WRITES.items():
        url = api.stack.url(service) + path.replace("refused", customer)
        api.admin.request(method, url, json={"kind": "server"})

    def ended() -> set[str]:
        rows = api.get("ingest", "/v1/audit", actor="root", limit="1000")["items"]
        mine = [row for row in rows if customer in row["target"].values() or row["route"].endswith("{profile_id}")]
        return {row["service"] for row in mine if row["status"] is not None}

    wait_until(lambda: ended() >= set(WRITES), 10, what="an end for each")
    rows = api.get("ingest", "/v1/audit", route="/v1/profiles/{profile_id}")["items"]
    assert rows
    assert all(row["target"]["profile_id"].startswith("hmac:") for row in rows)
    shown = api.headrace("audit", "--route", "/v1/sources/{source_name}", "--limit", "20").stdout
    assert "PUT /v1/sources/{source_name}" in shown
    assert customer in shown


def test_a_source_and_its_keys_by_the_command(api: Api) -> None:
    api.headrace("sources", "put", "access-web", "--kind", "public", "--origin", "https://shop.example.com")
    key, told, *_ = api.headrace("sources", "add-key", "access-web").stdout.splitlines()
    key_id = told.split()[3]

    def answer() -> int:
        body = {"event": "Seen", "anonymousId": "access-web"}
        return httpx.post(
            f"{api.stack.ingest_url}/v1/track", json=body, auth=(key, ""), trust_env=False
        ).status_code

    wait_until(lambda: answer() == 200, SOON, what="the key to be known")
    assert key[:10] in api.headrace("sources", "list").stdout
    api.headrace("sources", "revoke-key", "access-web", key_id)
    wait_until(lambda: answer() == 401, SOON, what="the key to be refused")
    api.headrace("sources", "delete", "access-web")
    refused = api.headrace("sources", "put", "default", "--kind", "public", check=1)
    assert "settings name this source" in refused.stderr
