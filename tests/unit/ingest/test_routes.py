"""Every path of the tracking API, CORS, the pixel and the settings documents."""

import json
from typing import Any

import pytest

from services.ingest.pixel import GIF
from services.ingest.routes import ROUTES
from tests.unit.ingest.service import SERVER_KEY, WEB_KEY, Ingest, basic, start_ingest

NEEDED: dict[str, dict[str, Any]] = {
    "track": {"event": "E"},
    "identify": {"traits": {"a": 1}},
    "page": {"name": "Home"},
    "screen": {"name": "Main"},
    "group": {"groupId": "g1"},
    "alias": {"previousId": "p1"},
}
LETTERS = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
SINGLE = [
    *((f"/v1/{name}", name) for name in NEEDED),
    *((f"/v1/{letter}", name) for letter, name in LETTERS.items()),
    *((f"/api/s/{name}", name) for name in NEEDED),
    *((f"/api/s/s2s/{name}", name) for name in NEEDED),
]
BATCH = ["/v1/batch", "/v1/b", "/beacon/v1/batch", "/v1/import", "/v1/batch/"]


@pytest.mark.parametrize(("path", "kind"), SINGLE)
async def test_single_paths_fix_the_type(ingest: Ingest, path: str, kind: str) -> None:
    event = await ingest.accepted(path, {"userId": "u1", "type": "ignored", **NEEDED[kind]})
    assert event.type == kind


@pytest.mark.parametrize("path", BATCH)
async def test_batch_paths(ingest: Ingest, path: str) -> None:
    items = [{"type": kind, "userId": "u1", **fields} for kind, fields in NEEDED.items()]
    response = await ingest.post(path, {"batch": items})
    assert (response.status_code, response.content) == (200, b'{"success":true}')
    assert response.headers["content-type"] == "application/json"
    assert [event.type for event in ingest.events()] == list(NEEDED)
    assert [event.imported for event in ingest.events()] == [path == "/v1/import"] * 6


def test_every_route_is_tried_here() -> None:
    tried = {path for path, _ in SINGLE} | set(BATCH) - {"/v1/batch/"}
    assert set(ROUTES) == tried | {"/v1/m", "/pixel/v1/track", "/pixel/v1/page"}


async def test_telemetry_is_answered_without_a_key(ingest: Ingest) -> None:
    response = await ingest.client.post("/v1/m", content=b'{"series":[]}', headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()) == (200, {"success": True})
    assert ingest.events() == []


@pytest.mark.parametrize("path", ["/v1/nothing", "/api/s/merge", "/v1/track/x", "/", "/v1/merge"])
async def test_unknown_paths(ingest: Ingest, path: str) -> None:
    response = await ingest.post(path, {})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/v1/t", "/v1/batch", "/beacon/v1/batch", "/sourceConfig/", "/v1/projects/k/settings"]
)
async def test_preflight(ingest: Ingest, path: str) -> None:
    asked = "authorization,content-type,x-retry-count,anonymousid,sentat,x-write-key,traceparent"
    response = await ingest.client.options(
        path,
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert response.headers["access-control-allow-headers"] == asked
    assert response.headers["access-control-max-age"] == "86400"
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/t", 401),
        ("GET", "/v1/t", 405),
        ("POST", "/v1/m", 200),
        ("GET", f"/v1/projects/{WEB_KEY}/settings", 200),
        ("GET", "/v1/projects/wrong/settings", 404),
        ("GET", f"/sourceConfig/?writeKey={WEB_KEY}", 200),
        ("GET", "/v1/nothing", 404),
    ],
)
async def test_every_answer_is_readable_by_the_page(ingest: Ingest, method: str, path: str, status: int) -> None:
    response = await ingest.client.request(method, path, json={}, headers={"Origin": "https://shop.example"})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-expose-headers"] == "Retry-After"
    assert response.headers["vary"] == "Origin"


async def test_internal_paths_are_not_for_other_origins(ingest: Ingest) -> None:
    response = await ingest.client.get("/metrics", headers={"Origin": "https://shop.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_segment_settings(ingest: Ingest) -> None:
    response = await ingest.client.get(f"/v1/projects/{WEB_KEY}/settings")
    document = response.json()
    assert list(document["integrations"]) == ["Segment.io"]
    assert document["integrations"]["Segment.io"] == {
        "apiKey": WEB_KEY,
        "apiHost": "cdp.example.com/v1",
        "protocol": "http",
        "retryQueue": True,
        "addBundledMetadata": True,
    }
    assert document["metrics"] == {"sampleRate": 0}


async def test_segment_settings_behind_a_proxy() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_TRUSTED_HOPS="1")
    headers = {"X-Forwarded-Proto": "https"}
    response = await ingest.client.get(f"/v1/projects/{WEB_KEY}/settings", headers=headers)
    assert response.json()["integrations"]["Segment.io"]["protocol"] == "https"


async def test_segment_settings_with_a_public_address() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_PUBLIC_URL="https://t.shop.example/")
    segment = (await ingest.client.get(f"/v1/projects/{WEB_KEY}/settings")).json()["integrations"]["Segment.io"]
    assert (segment["protocol"], segment["apiHost"]) == ("https", "t.shop.example/v1")


async def test_a_host_header_that_is_no_host_is_not_repeated(ingest: Ingest) -> None:
    response = await ingest.client.get(f"/v1/projects/{WEB_KEY}/settings", headers={"Host": "evil/path?"})
    assert "apiHost" not in response.json()["integrations"]["Segment.io"]


@pytest.mark.parametrize("path", ["/sourceConfig/", "/sourceConfig"])
async def test_rudder_source_config(ingest: Ingest, path: str) -> None:
    query = {"p": "npm", "v": "3.34.1", "build": "modern", "writeKey": WEB_KEY, "lockIntegrationsVersion": "false"}
    by_query = await ingest.client.get(path, params=query, headers=basic(WEB_KEY))
    by_header = await ingest.client.get(path, headers=basic(WEB_KEY))
    assert by_query.json() == by_header.json()
    source = by_query.json()["source"]
    assert (source["writeKey"], source["enabled"], source["destinations"]) == (WEB_KEY, True, [])
    assert (await ingest.client.get(path)).status_code == 404


@pytest.mark.parametrize(("name", "fields"), [("track", {"event": "Email Opened"}), ("page", {"name": "Home"})])
async def test_pixel(ingest: Ingest, name: str, fields: dict[str, str]) -> None:
    query = {"writeKey": WEB_KEY, "userId": "u1", **fields, "properties.campaign.id": "c1", "context.locale": "cs"}
    response = await ingest.client.get(f"/pixel/v1/{name}", params=query)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
    assert (response.content, len(response.content)) == (GIF, 43)
    assert response.headers["cache-control"] == "no-store"
    (event,) = ingest.events()
    assert (event.type, event.source, event.channel, event.user_id) == (name, "web", "web", "u1")
    assert json.loads(bytes(event.properties)) == {"campaign.id": "c1"}
    assert json.loads(bytes(event.context)) == {"locale": "cs", "ip": "203.0.113.7"}


async def test_pixel_does_not_answer_the_scanners_of_mail_programs(ingest: Ingest) -> None:
    url = f"/pixel/v1/track?writeKey={SERVER_KEY}&userId=u1&event=E"
    assert (await ingest.client.head(url)).status_code == 405
    assert (await ingest.client.get("/pixel/v1/track?writeKey=wrong")).status_code == 401
    assert ingest.events() == []


async def test_too_many_query_fields(ingest: Ingest) -> None:
    response = await ingest.client.get("/pixel/v1/track?" + "&".join(["a=1"] * 1_001))
    assert (response.status_code, response.json()["code"]) == (400, "invalid_query")


async def test_the_api_document_names_every_tracking_path(ingest: Ingest) -> None:
    paths = (await ingest.client.get("/openapi.json")).json()["paths"]
    assert {route.label for route in ROUTES.values()} <= set(paths)
    assert "/v1/projects/{write_key}/settings" in paths
