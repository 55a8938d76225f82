"""The limits of every service of a running platform, as the settings name them."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from headrace.runtime.body_limit import MAX_BODY_BYTES
from headrace.runtime.protocol import MAX_HEAD_BYTES
from tests.e2e.stack import Stack

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
LISTS = {
    "ingest": "/v1/dead-letters",
    "profiles": "/v1/profiles",
    "segmenter": "/v1/segments",
    "messenger": "/v1/campaigns",
}
LINKS = [("messenger", f"/{kind}/") for kind in "ocup"] + [("profiles", "/s/")]
WEB = {"HEADRACE_SOURCES": json.dumps({"web-key": {"source": "web"}}), "HEADRACE_INGEST_RATE_PUBLIC": "1/h,5"}
RATES = {
    "HEADRACE_RATE_ADMIN_FAILURES": "1/h,6",
    "HEADRACE_RATE_LINK": "1/h,8",
    "HEADRACE_RATE_REFUSED_LINKS": "1/h,60",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack({**WEB, **RATES}) as running:
        yield running


def statuses(url: str, count: int, **headers: str) -> list[int]:
    with httpx.Client(timeout=30) as client:
        return [client.get(url, headers=headers).status_code for _ in range(count)]


@pytest.mark.parametrize("service", SERVICES)
def test_a_large_head_is_refused(stack: Stack, service: str) -> None:
    with socket.create_connection(("127.0.0.1", stack.ports[service]), 10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("profiles", "POST", "/v1/control"),
        ("profiles", "POST", "/v1/tags"),
        ("segmenter", "POST", "/v1/memberships"),
        ("messenger", "PUT", "/v1/campaigns/a"),
        ("ingest", "POST", "/v1/dead-letters/replay"),
    ],
)
def test_a_large_body_is_refused(stack: Stack, service: str, method: str, path: str) -> None:
    admin = {"Authorization": f"Bearer {stack.admin_token}", "Content-Type": "application/json"}
    body = b" " * (MAX_BODY_BYTES + 1)
    answer = httpx.request(method, stack.url(service) + path, content=body, headers=admin, timeout=30)
    assert answer.status_code == 413


@pytest.mark.parametrize(("service", "prefix"), LINKS)
def test_a_link_that_is_asked_for_again_and_again(stack: Stack, service: str, prefix: str) -> None:
    found = statuses(f"{stack.url(service)}{prefix}1.m.{'x' * 22}", 20)
    assert found[-1] == 429
    assert {403, 404} & set(found[:4])


@pytest.mark.parametrize(("service", "prefix"), [LINKS[0], LINKS[-1]])
def test_links_that_we_never_signed(stack: Stack, service: str, prefix: str) -> None:
    with httpx.Client(timeout=30) as client:
        urls = (f"{stack.url(service)}{prefix}1.m{number}.{'x' * 22}" for number in range(90))
        found = [client.get(url).status_code for url in urls]
    assert found[-1] == 429


def test_a_page_that_sends_too_much(stack: Stack) -> None:
    event = {"userId": "u1", "event": "E"}
    with httpx.Client(auth=("web-key", ""), timeout=30) as client:
        found = [client.post(f"{stack.ingest_url}/v1/track", json=event) for _ in range(12)]
    assert found[0].status_code == 200
    assert found[-1].status_code == 429
    assert int(found[-1].headers["retry-after"]) > 60
    server = httpx.post(f"{stack.ingest_url}/v1/track", json=event, auth=(stack.write_key, ""), timeout=30)
    assert server.status_code == 200


def test_keys_of_links_by_the_command(stack: Stack) -> None:
    def run(*arguments: str) -> str:
        command = (sys.executable, "-m", "headrace.cli.main", "link-keys", *arguments)
        done = subprocess.run(command, env=stack.env, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    assert run("rotate").startswith("key 2 signs from 20")
    listed = run("list").splitlines()
    assert [line.split()[0] for line in listed] == ["1", "2"]
    assert listed[0].endswith("signs")
    assert listed[1].endswith("verifies")
    assert "Links are signed with this key" in run("withdraw", "1")
    assert run("withdraw", "2").startswith("key 2 is withdrawn since 20")


def test_guesses_of_the_admin_token_end_at_every_service(stack: Stack) -> None:
    """The last test here: this machine's address is locked out behind it."""
    for service in SERVICES:
        url = stack.url(service) + LISTS[service]
        found = statuses(url, 12, Authorization="Bearer guess")
        assert 401 in found or service != SERVICES[0]
        assert found[-1] == 429
        assert statuses(url, 1, Authorization=f"Bearer {stack.admin_token}") == [429]
        assert statuses(f"{stack.url(service)}/healthz", 1) == [200]
