"""Limits by write key and by address, on both ways through ingest."""

import json
from typing import Any

import pytest

from headrace.runtime.protocol import GuardedHttpProtocol
from headrace.runtime.rate.bucket import Rate
from services.ingest.auth import Source
from services.ingest.rates import RateSettings
from tests.unit.ingest.service import WEB_KEY, basic, start_ingest
from tests.unit.ingest.wire import EVENT, PAGE, PAGE_KEY, WAYS, WEB, Side, request, turn

RATE = Rate(0.01, 40)
MOST = RATE.burst + RATE.swing
BODY = json.dumps(EVENT).encode()
FROM_WEB = request(BODY, (b"Authorization: " + WEB,))


async def answers(side: Side, sent: bytes, count: int) -> tuple[int, int]:
    """How many of the same request are answered 200 and 429."""
    connection, wire = side.connect()
    for _ in range(count):
        connection.data_received(sent)
        await turn()
    connection.connection_lost(None)
    return wire.got.count(b"HTTP/1.1 200"), wire.got.count(b"HTTP/1.1 429")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("rates", "sent"),
    [
        (RateSettings(address=RATE), FROM_WEB),
        (RateSettings(public=RATE), FROM_WEB),
        (RateSettings(server=RATE), request(BODY)),
        (RateSettings(address=RATE), request(json.dumps(EVENT | {"writeKey": WEB_KEY}).encode(), ())),
    ],
    ids=["address", "public key", "server key", "key in the body"],
)
async def test_what_is_too_much_is_answered_429(
    way: type[GuardedHttpProtocol], rates: RateSettings, sent: bytes
) -> None:
    side = await Side.start(way, rates=rates)
    passed, refused = await answers(side, sent, 100)
    assert passed + refused == 100
    assert RATE.burst <= passed <= MOST
    assert len(side.landed()) == passed
    counted = side.metrics.rate_limited.collect()
    assert sum(s.value for m in counted for s in m.samples if s.name.endswith("_total")) == refused


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("rates", "sent"),
    [
        (RateSettings(public=RATE, address=RATE), request(BODY)),
        (RateSettings(server=RATE), FROM_WEB),
    ],
    ids=["a server", "another kind of key"],
)
async def test_what_is_not_limited(way: type[GuardedHttpProtocol], rates: RateSettings, sent: bytes) -> None:
    side = await Side.start(way, rates=rates)
    assert await answers(side, sent, 100) == (100, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("in_body", [False, True], ids=["key in the head", "key in the body"])
async def test_a_page_that_may_not_use_a_key_takes_nothing_of_its_source(
    way: type[GuardedHttpProtocol], in_body: bool
) -> None:
    body = json.dumps(EVENT | {"writeKey": PAGE_KEY}).encode()
    head = () if in_body else (b"Authorization: " + basic(PAGE_KEY)["Authorization"].encode(),)
    side = await Side.start(way, rates=RateSettings(public=RATE))
    elsewhere = request(body, (*head, b"Origin: https://elsewhere.example"))
    assert await answers(side, elsewhere, 2 * MOST) == (0, 0)
    assert await answers(side, request(body, (*head, b"Origin: " + PAGE.encode())), RATE.burst) == (RATE.burst, 0)


def test_a_source_may_have_a_rate_of_its_own() -> None:
    settings = RateSettings(public=RATE)
    assert settings.of(Source("web", trusted=False)) == RATE
    assert settings.of(Source("web", trusted=False, rate=5.0)) == Rate(5.0, 50)
    assert settings.of(Source("shop", trusted=True)) is None
    assert settings.of(Source("shop", trusted=True, rate=0.05)) == Rate(0.05, 1)


async def test_a_refusal_is_as_sdks_want_it() -> None:
    """Whole seconds in Retry-After, readable by a page; JSON with success and code (tracking API)."""
    ingest = await start_ingest(HEADRACE_INGEST_RATE_PUBLIC="1/h,1")
    answer: Any = None
    for _ in range(10):
        answer = await ingest.post("/v1/track", EVENT, key=WEB_KEY, origin="https://shop.example.com")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert (answer.json()["success"], answer.json()["code"]) == (False, "rate_limited")


async def test_a_batch_costs_what_it_holds() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_RATE_PUBLIC="0.001/s,100")
    batch = {"batch": [{**EVENT, "type": "track", "messageId": str(n)} for n in range(60)]}
    statuses = [(await ingest.post("/v1/batch", batch, key=WEB_KEY)).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert len(ingest.events()) == 120


async def test_whoever_tries_write_keys_is_refused() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_RATE_ADDRESS="0.01/s,20")
    statuses = [(await ingest.post("/v1/track", EVENT, key=f"guess-{n}")).status_code for n in range(40)]
    assert 20 <= statuses.count(401) <= 22
    assert statuses[-1] == 429
    bodies = [(await ingest.client.post("/v1/track", json=EVENT | {"writeKey": "x"})).status_code]
    assert bodies == [429]


async def test_the_defaults_let_a_busy_page_pass() -> None:
    ingest = await start_ingest()
    statuses = [(await ingest.post("/v1/track", EVENT, key=WEB_KEY)).status_code for _ in range(500)]
    assert statuses == [200] * 500


async def test_a_history_is_not_limited() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_RATE_SERVER="0.001/s,1")
    lines = b"\n".join(json.dumps({**EVENT, "type": "track", "messageId": str(n)}).encode() for n in range(50))
    for _ in range(3):
        assert (await ingest.post("/v1/import", lines)).status_code == 200


async def test_wrong_admin_tokens_are_limited_here_too() -> None:
    ingest = await start_ingest(HEADRACE_RATE_ADMIN_FAILURES="1/h,3")
    wrong = {"Authorization": "Bearer guess"}
    statuses = [(await ingest.client.get("/v1/dead-letters", headers=wrong)).status_code for _ in range(10)]
    assert statuses[:3] == [401] * 3
    assert statuses[-1] == 429
