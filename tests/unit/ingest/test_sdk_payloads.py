"""What unmodified SDKs send, literally: body shape, encodings and headers of each client."""

import base64
import gzip
import json
from typing import Any

import pytest

from headrace.contracts.event import Event
from tests.unit.ingest.service import SERVER_KEY, WEB_KEY, Ingest, basic


def traits(event: Event) -> Any:
    return json.loads(bytes(event.traits))


def context(event: Event) -> Any:
    return json.loads(bytes(event.context))


async def test_segment_analytics_python(ingest: Ingest) -> None:
    """2.4.0: explicit nulls, `+00:00`, gzip when asked, the key as Basic and in the body."""
    body = {
        "batch": [
            {
                "integrations": {},
                "anonymousId": None,
                "properties": {"total": 12.5},
                "timestamp": "2026-01-31T12:00:00.000001+00:00",
                "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
                "userId": "u1",
                "type": "track",
                "event": "Order Completed",
                "messageId": "5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a11",
            },
            {
                "integrations": {},
                "anonymousId": None,
                "timestamp": "2026-01-31T12:00:00.000002+00:00",
                "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
                "type": "identify",
                "userId": "u1",
                "traits": {"email": "jana@shop.example"},
                "messageId": "5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a12",
            },
        ],
        "sentAt": "2026-01-31T12:00:01.000000+00:00",
        "writeKey": SERVER_KEY,
    }
    response = await ingest.post(
        "/v1/batch",
        gzip.compress(json.dumps(body).encode()),
        content_type="application/json",
        content_encoding="gzip",
        user_agent="analytics-python/2.4.0",
    )
    assert response.json() == {"success": True}
    track, identify = ingest.events()
    assert (track.user_id, track.anonymous_id, json.loads(bytes(track.properties))) == (
        "u1",
        None,
        {"total": 12.5},
    )
    assert traits(identify) == {"email": "jana@shop.example"}
    assert track.sent_at == "2026-01-31T12:00:01.000Z"
    assert "ip" not in context(track)


async def test_analytics_node(ingest: Ingest) -> None:
    """3.1.0: `_metadata` on every event, X-Retry-Count on repeats."""
    message_id = "node-next-1769860800000-5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a11"
    item = {
        "userId": "u1",
        "event": "Product Added",
        "type": "track",
        "properties": {"sku": "G-32"},
        "integrations": {},
        "context": {"library": {"name": "@segment/analytics-node", "version": "3.1.0"}},
        "timestamp": "2026-01-31T12:00:00.000Z",
        "messageId": message_id,
        "_metadata": {"nodeVersion": "22.0.0", "jsRuntime": "node"},
    }
    body = {"batch": [item], "writeKey": SERVER_KEY, "sentAt": "2026-01-31T12:00:00.100Z"}
    response = await ingest.post("/v1/batch", body, x_retry_count="1")
    assert response.json() == {"success": True}
    assert [event.message_id for event in ingest.events()] == [message_id]


async def test_analytics_next_single(ingest: Ingest) -> None:
    """1.84.3: the event itself is the body, as text/plain, from another origin."""
    body = {
        "timestamp": "2026-01-31T12:00:00.000Z",
        "integrations": {"Segment.io": True},
        "anonymousId": "2b1f0f0c-8f1e-4b64-8d5e-7d9d3d0f2a31",
        "type": "page",
        "properties": {"path": "/", "referrer": "", "search": "", "title": "Shop", "url": "https://shop.example/"},
        "context": {
            "page": {"path": "/", "referrer": "", "search": "", "title": "Shop", "url": "https://shop.example/"},
            "userAgent": "Mozilla/5.0",
            "locale": "cs-CZ",
            "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
            "timezone": "Europe/Prague",
        },
        "messageId": "ajs-next-1769860800000-5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a11",
        "writeKey": WEB_KEY,
        "userId": None,
        "sentAt": "2026-01-31T12:00:00.005Z",
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
    }
    response = await ingest.post(
        "/v1/p", body, key=WEB_KEY, content_type="text/plain", origin="https://shop.example"
    )
    assert response.json() == {"success": True}
    (event,) = ingest.events()
    assert (event.type, event.source, event.anonymous_id) == ("page", "web", body["anonymousId"])
    assert context(event)["ip"] == "203.0.113.7"
    assert context(event)["timezone"] == "Europe/Prague"


async def test_analytics_next_batch(ingest: Ingest) -> None:
    """Batching: `sentAt` on the envelope only, the key on every event too."""
    item = {"type": "track", "event": "Product Viewed", "anonymousId": "a1", "writeKey": WEB_KEY}
    body = {"writeKey": WEB_KEY, "batch": [item, item], "sentAt": "2026-01-31T12:00:00.005Z"}
    response = await ingest.client.post("/v1/b", content=json.dumps(body), headers={"content-type": "text/plain"})
    assert response.json() == {"success": True}
    assert [event.sent_at for event in ingest.events()] == ["2026-01-31T12:00:00.005Z"] * 2


async def test_rudder_sdk_python(ingest: Ingest) -> None:
    """2.1.9: no key in the body, gzip, an identify's traits only in context.traits, 200 is the only success."""
    item = {
        "integrations": {"All": True},
        "anonymousId": None,
        "channel": "server",
        "context": {
            "library": {"name": "rudder-analytics-python", "version": "2.1.9"},
            "traits": {"plan": "gold"},
        },
        "type": "identify",
        "userId": "u1",
        "originalTimestamp": "2026-01-31T12:00:00.000000+00:00",
        "messageId": "5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a11",
    }
    body = gzip.compress(json.dumps({"batch": [item], "sentAt": "2026-01-31T12:00:00.5+00:00"}).encode())
    response = await ingest.post("/v1/batch", body, content_type="application/json", content_encoding="gzip")
    assert (response.status_code, response.json()) == (200, {"success": True})
    (event,) = ingest.events()
    assert (traits(event), event.channel) == ({"plan": "gold"}, "server")


async def test_rudder_sdk_node(ingest: Ingest) -> None:
    """3.0.13: gzipped JSON labelled as a form, `originalTimestamp` and `sentAt` on each event."""
    item = {
        "type": "identify",
        "userId": "u1",
        "traits": {"email": "jana@shop.example"},
        "context": {"traits": {"email": "jana@shop.example"}, "library": {"name": "analytics-node"}},
        "originalTimestamp": "2026-01-31T12:00:00.000Z",
        "sentAt": "2026-01-31T12:00:02.000Z",
        "messageId": "m1",
        "_metadata": {"nodeVersion": "22.0.0"},
    }
    body = {"batch": [item], "timestamp": "2026-01-31T12:00:02.000Z", "sentAt": "2026-01-31T12:00:02.000Z"}
    response = await ingest.post(
        "/v1/batch",
        gzip.compress(json.dumps(body).encode()),
        content_type="application/x-www-form-urlencoded",
        content_encoding="gzip",
    )
    assert response.json() == {"success": True}
    (event,) = ingest.events()
    assert (event.original_timestamp, event.sent_at) == ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:02.000Z")


async def test_rudder_browser(ingest: Ingest) -> None:
    """3.34.1: an empty userId, AnonymousId and SentAt as headers, "$direct" as referrer, beacons by query key."""
    body = {
        "properties": {"referrer": "$direct", "initial_referrer": "$direct", "url": "https://shop.example/"},
        "name": "Home",
        "type": "page",
        "channel": "web",
        "context": {
            "sessionId": 1769860800000,
            "sessionStart": True,
            "library": {"name": "RudderLabs JavaScript SDK"},
        },
        "originalTimestamp": "2026-01-31T12:00:00.000Z",
        "integrations": {"All": True},
        "messageId": "5f2b8b2e-6f0e-4f6b-9d3e-0f3c5a7c9a11",
        "anonymousId": "a1",
        "userId": "",
    }
    headers = {
        **basic(WEB_KEY),
        "AnonymousId": base64.b64encode(b"a1").decode(),
        "SentAt": "2026-01-31T12:00:01.000Z",
        "Rsa-Retry-Attempt": "1",
        "Content-Type": "application/json;charset=UTF-8",
        "Origin": "https://shop.example",
    }
    single = await ingest.client.post("/v1/page", json=body, headers=headers)
    beacon = await ingest.client.post(
        f"/beacon/v1/batch?writeKey={WEB_KEY}",
        content=json.dumps({"batch": [{**body, "messageId": "m2"}]}),
        headers={"Content-Type": "text/plain"},
    )
    assert [single.json(), beacon.json()] == [{"success": True}] * 2
    first, second = ingest.events()
    assert (first.user_id, first.anonymous_id, first.sent_at) == (None, "a1", "2026-01-31T12:00:01.000Z")
    assert second.sent_at is None
    assert context(first)["sessionId"] == 1769860800000


@pytest.mark.parametrize("path", ["/api/s/track", "/api/s/s2s/track"])
async def test_jitsu(ingest: Ingest, path: str) -> None:
    """1.11.0: X-Write-Key `keyId:secret`, the key masked in the body, a short random messageId."""
    body = {
        "type": "track",
        "event": "signup",
        "properties": {},
        "userId": None,
        "anonymousId": "a1",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "sentAt": "2026-01-31T12:00:00.010Z",
        "messageId": "1x2y3z",
        "writeKey": "key1:***",
        "context": {
            "page": {"url": "https://shop.example/"},
            "library": {"name": "@jitsu/js", "version": "1.11.0"},
        },
    }
    headers = {"X-Write-Key": f"key1:{WEB_KEY}", "X-Enable-Debug": "false", "Content-Type": "application/json"}
    response = await ingest.client.post(path, json=body, headers=headers)
    assert response.json() == {"success": True}
    assert [event.message_id for event in ingest.events()] == ["1x2y3z"]


async def test_a_till_with_only_a_loyalty_card(ingest: Ingest) -> None:
    body = {
        "event": "Order Completed",
        "messageId": "pos:brno-1:till-3:20260131-0042",
        "properties": {"affiliation": "brno-1", "order_id": "20260131-0042", "total": 129.9, "currency": "CZK"},
        "context": {
            "channel": "pos",
            "externalIds": [{"id": "9001", "type": "loyalty_card", "collection": "users"}],
        },
    }
    event = await ingest.accepted("/v1/track", body)
    assert (event.user_id, event.anonymous_id, event.trusted) == (None, None, True)
    assert context(event)["externalIds"][0]["id"] == "9001"
