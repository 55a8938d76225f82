"""The write key in every form that SDKs send it, and which form counts when there are several."""

import base64

import pytest

from headrace.contracts.errors import ApiError
from services.ingest.auth import KeyRing, Source, basic_key
from tests.unit.ingest.service import SERVER_KEY, WEB_KEY, Ingest

EVENT = {"userId": "u1", "event": "E"}
RING = KeyRing({SERVER_KEY: Source("default", True), WEB_KEY: Source("web", False)})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Basic {encoded(WEB_KEY + ':')}"},
        {"Authorization": f"Basic {encoded(WEB_KEY)}"},
        {"Authorization": f"basic {encoded(WEB_KEY + ':').rstrip('=')}"},
        {"Authorization": f"Basic {encoded(WEB_KEY + ':password')}"},
        {"Authorization": f"Bearer {WEB_KEY}"},
        {"X-Write-Key": WEB_KEY},
        {"X-Write-Key": f"key1:{WEB_KEY}"},
        {"X-Write-Key": f"{WEB_KEY}:secret"},
    ],
)
async def test_header_forms(ingest: Ingest, headers: dict[str, str]) -> None:
    response = await ingest.client.post("/v1/track", json=EVENT, headers=headers)
    assert response.status_code == 200
    (event,) = ingest.events()
    assert (event.source, event.trusted) == ("web", False)


async def test_query_and_body(ingest: Ingest) -> None:
    await ingest.client.post(
        "/beacon/v1/batch", params={"writeKey": WEB_KEY}, json={"batch": [{**EVENT, "type": "track"}]}
    )
    await ingest.client.post("/v1/track", json={**EVENT, "writeKey": SERVER_KEY})
    await ingest.client.post("/v1/batch", json={"batch": [{**EVENT, "type": "track"}], "writeKey": SERVER_KEY})
    assert sorted((event.source, event.trusted) for event in ingest.events()) == [
        ("default", True),
        ("default", True),
        ("web", False),
    ]


@pytest.mark.parametrize(
    ("headers", "query", "body_key", "source"),
    [
        (
            {"Authorization": f"Basic {encoded(WEB_KEY + ':')}", "X-Write-Key": SERVER_KEY},
            SERVER_KEY,
            SERVER_KEY,
            "web",
        ),
        ({"Authorization": "Bearer oauth-token"}, None, WEB_KEY, "web"),
        ({"Authorization": "Bearer oauth-token", "X-Write-Key": WEB_KEY}, SERVER_KEY, SERVER_KEY, "web"),
        ({"X-Write-Key": WEB_KEY}, SERVER_KEY, SERVER_KEY, "web"),
        ({"X-Write-Key": f"{WEB_KEY}:s"}, None, "web-key:***", "web"),
        ({}, WEB_KEY, SERVER_KEY, "web"),
        ({"Authorization": f"Basic {encoded(':')}"}, None, WEB_KEY, "web"),
        ({"Authorization": f"Basic {encoded('wrong:')}"}, None, WEB_KEY, None),
        ({"Authorization": "Bearer oauth-token"}, None, None, None),
        ({"X-Write-Key": "wrong"}, WEB_KEY, WEB_KEY, None),
        ({}, "wrong", WEB_KEY, None),
        ({}, None, "wrong", None),
        ({}, None, 5, None),
    ],
)
async def test_precedence(
    ingest: Ingest, headers: dict[str, str], query: str | None, body_key: object, source: str | None
) -> None:
    params = {"writeKey": query} if query else {}
    body = {**EVENT, "writeKey": body_key} if body_key else EVENT
    response = await ingest.client.post("/v1/track", params=params, json=body, headers=headers)
    assert response.status_code == (200 if source else 401)
    assert [event.source for event in ingest.events()] == ([source] if source else [])


async def test_a_wrong_key_is_refused_before_the_body_is_looked_at(ingest: Ingest) -> None:
    response = await ingest.post("/v1/track", b"not json", key="wrong")
    assert response.json()["code"] == "unknown_write_key"


def test_only_the_whole_key_is_found() -> None:
    assert RING.find(SERVER_KEY) == Source("default", True)
    for near in ("", SERVER_KEY[:-1], SERVER_KEY + "x", SERVER_KEY.upper(), "\udc80"):
        assert RING.find(near) is None


def test_undecided_without_any_form() -> None:
    assert RING.from_request(authorization=None, x_write_key=b" ", query_key="") is None
    with pytest.raises(ApiError, match="Send your write key"):
        RING.from_body(None)


def test_basic_key_of_other_schemes() -> None:
    assert basic_key(b"Bearer abc") == ""
    assert basic_key(b"") == ""
    assert basic_key(b"Basic \xff\xfe") == "\xff\xfe"
