"""Settings of the ingest service and what they change."""

import json
from typing import Any

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from services.ingest.auth import Source
from services.ingest.limits import Limits
from services.ingest.request import client_ip
from services.ingest.settings import load_settings
from tests.unit.ingest.service import ENVIRONMENT, SERVER_KEY, WEB_KEY, basic, start_ingest


def test_defaults() -> None:
    settings = load_settings(Environment({**ENVIRONMENT, "HEADRACE_SOURCES": ""}))
    assert settings.sources == {SERVER_KEY: Source("default", trusted=True)}
    assert settings.limits == Limits()
    assert (settings.port, settings.ack_timeout, settings.trusted_hops) == (8080, 5.0, 0)


def test_further_sources() -> None:
    sources = {WEB_KEY: {"source": "web"}, "k2": {"source": "erp", "trusted": True}}
    settings = load_settings(Environment({**ENVIRONMENT, "HEADRACE_SOURCES": json.dumps(sources)}))
    assert settings.sources == {
        SERVER_KEY: Source("default", trusted=True),
        WEB_KEY: Source("web", trusted=False),
        "k2": Source("erp", trusted=True),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_WRITE_KEY", ""),
        ("HEADRACE_SOURCES", "{"),
        ("HEADRACE_SOURCES", "[]"),
        ("HEADRACE_SOURCES", '{"k": {"source": "Web Shop"}}'),
        ("HEADRACE_SOURCES", '{"": {"source": "web"}}'),
        ("HEADRACE_SOURCES", '{"k": {"name": "web"}}'),
        ("HEADRACE_INGEST_PUBLIC_URL", "cdp.example.com"),
        ("HEADRACE_INGEST_MAX_EVENT_BYTES", "0"),
        ("HEADRACE_INGEST_ACK_TIMEOUT", "soon"),
    ],
)
def test_an_error_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(Environment({**ENVIRONMENT, name: value}))


async def test_limits_are_settable() -> None:
    ingest = await start_ingest(
        HEADRACE_INGEST_MAX_BODY_BYTES="1000",
        HEADRACE_INGEST_MAX_BATCH_EVENTS="2",
        HEADRACE_INGEST_MAX_EVENT_BYTES="100",
        HEADRACE_INGEST_MAX_IMPORT_BYTES="2000",
    )
    event = {"type": "track", "userId": "u1", "event": "E"}
    assert (await ingest.post("/v1/track", b" " * 1_001)).json()["code"] == "body_too_large"
    assert (await ingest.post("/v1/import", b" " * 2_001)).json()["code"] == "body_too_large"
    assert (await ingest.post("/v1/batch", {"batch": [event] * 3})).json()["code"] == "batch_too_large"
    large = await ingest.post("/v1/track", {**event, "properties": {"x": "y" * 100}})
    assert large.json()["rejected"][0]["code"] == "event_too_large"
    assert (await ingest.post("/v1/batch", {"batch": [event] * 2})).json() == {"success": True}


def scope(*forwarded: str, client: tuple[str, int] | None = ("10.0.0.1", 1)) -> dict[str, Any]:
    return {"client": client, "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded]}


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        (("203.0.113.7",), 0, "10.0.0.1"),
        (("203.0.113.7",), 1, "203.0.113.7"),
        (("6.6.6.6, 203.0.113.7",), 1, "203.0.113.7"),
        (("6.6.6.6", "203.0.113.7, 10.0.0.9"), 2, "203.0.113.7"),
        ((), 1, "10.0.0.1"),
    ],
)
def test_the_clients_address_behind_proxies(forwarded: tuple[str, ...], hops: int, expected: str) -> None:
    assert client_ip(scope(*forwarded), hops) == expected


def test_no_address_on_a_unix_socket() -> None:
    assert client_ip(scope(client=None), 0) is None


async def test_whose_address_is_taken() -> None:
    """A server's own address says nothing about the customer it sends for; a page's does."""
    ingest = await start_ingest(HEADRACE_INGEST_TRUSTED_HOPS="1")
    forwarded = {"X-Forwarded-For": "198.51.100.4"}
    for headers in (
        basic(SERVER_KEY),
        {**basic(SERVER_KEY), "Origin": "https://shop.example"},
        basic(WEB_KEY),
    ):
        body = {"userId": "u1", "event": "E"}
        response = await ingest.client.post("/v1/track", json=body, headers={**headers, **forwarded})
        assert response.status_code == 200
    contexts = [json.loads(bytes(event.context)) for event in ingest.events()]
    assert contexts == [{}, {"ip": "198.51.100.4"}, {"ip": "198.51.100.4"}]
