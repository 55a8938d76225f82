"""Ingest on the real embedded log: an unmodified SDK, and a log that dies, freezes and fills up."""

import asyncio
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from segment.analytics.client import Client

from tests import engines
from tests.deployment import topic_prefix
from tests.e2e.ingest_rig import WRITE_KEY, collected, is_ready, log_server, running_ingest
from tests.e2e.wait import wait_until

AUTH = (WRITE_KEY, "")
PREFIX = topic_prefix()


@pytest.fixture(scope="module")
def shared(log_server_url: str) -> Iterator[tuple[str, str]]:
    """URL of an ingest service and of its log."""
    with running_ingest(log_server_url, HEADRACE_TOPIC_PREFIX=PREFIX) as url:
        yield url, log_server_url


@pytest.mark.parametrize("gzip", [False, True])
async def test_the_unmodified_segment_sdk(shared: tuple[str, str], gzip: bool) -> None:
    url, log_url = shared
    errors: list[Exception] = []
    client = Client(WRITE_KEY, host=url, gzip=gzip, on_error=lambda error, _: errors.append(error), upload_size=20)
    user = f"sdk-{gzip}"
    client.identify(user, {"email": "jana@shop.example"})
    for number in range(100):
        client.track(user, "Order Completed", {"total": number, "currency": "CZK"}, message_id=f"{user}-{number}")
    client.page(user, "Shop", "Home")
    client.screen(user, "App", "Main")
    client.group(user, "company-1", {"plan": "gold"})
    client.alias("anonymous-1", user)
    await asyncio.to_thread(client.shutdown)

    assert errors == []
    events = [event for event in await collected(log_url, PREFIX) if event.user_id == user]
    assert [event.type for event in events if event.type != "track"] == [
        "identify",
        "page",
        "screen",
        "group",
        "alias",
    ]
    assert [event.message_id for event in events if event.type == "track"] == [f"{user}-{n}" for n in range(100)]
    assert all(event.trusted and event.source == "default" and event.sent_at for event in events)


def test_an_acknowledged_event_survives_the_death_of_the_log() -> None:
    """kill -9 of the log under load: what was answered with 200 is there afterwards; the rest got 503."""
    acknowledged: list[str] = []
    refused: list[int] = []
    stop = threading.Event()

    def send(url: str, sender: int) -> None:
        with httpx.Client(base_url=url, auth=AUTH, timeout=30) as client:
            number = 0
            while not stop.is_set():
                number += 1
                message_id = f"{sender}-{number}"
                event = {"userId": f"u{number % 11}", "event": "E", "messageId": message_id}
                response = client.post("/v1/track", json=event)
                if response.status_code == 200:
                    acknowledged.append(message_id)
                else:
                    assert response.headers["retry-after"].isdigit()
                    refused.append(response.status_code)

    with log_server() as server, running_ingest(server.url) as url:
        senders = [threading.Thread(target=send, args=(url, number)) for number in range(4)]
        for sender in senders:
            sender.start()
        try:
            wait_until(lambda: len(acknowledged) > 100, 30, what="100 events to be acknowledged")
            server.kill()
            wait_until(lambda: len(refused) > 10, 30, what="ingest to refuse")
            server.start()
            wait_until(lambda: is_ready(url), 30, what="ingest to be ready again")
            before = len(acknowledged)
            wait_until(lambda: len(acknowledged) > before, 30, what="ingest to accept again")
            stop.set()
            for sender in senders:
                sender.join()
            landed = {event.message_id for event in asyncio.run(collected(server.url))}
        finally:
            stop.set()
    assert set(refused) == {503}
    assert set(acknowledged) - landed == set()


def test_a_frozen_log_is_answered_with_503_in_time() -> None:
    patience = {"HEADRACE_INGEST_ACK_TIMEOUT": "500ms"}
    with log_server() as server, running_ingest(server.url, **patience) as url:
        server.pause()
        try:
            started = time.monotonic()
            response = httpx.post(f"{url}/v1/track", json={"userId": "u1", "event": "E"}, auth=AUTH, timeout=30)
            took = time.monotonic() - started
        finally:
            server.resume()
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert 0.4 < took < 3
        wait_until(lambda: is_ready(url), 30, what="ingest to be ready again")
        response = httpx.post(f"{url}/v1/track", json={"userId": "u1", "event": "E"}, auth=AUTH)
        assert response.status_code == 200


@pytest.mark.embedded
def test_a_full_log_is_answered_with_503() -> None:
    with engines.own_valkey(memory_mb=16) as server, running_ingest(server.url) as url:
        event = {"type": "track", "userId": "u1", "event": "E", "properties": {"x": "y" * 8_000}}
        accepted = 0
        with httpx.Client(base_url=url, auth=AUTH, timeout=30) as client:
            for _ in range(100):
                response = client.post("/v1/batch", json={"batch": [event] * 50})
                if response.status_code != 200:
                    break
                accepted += 50
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert len(asyncio.run(collected(server.url))) == accepted > 0
