"""The HTTP side that services share: one shape of error, health, metrics, the admin token."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from starlette.exceptions import HTTPException

from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.schemas import schemas
from headrace.runtime.access.guard import GUARD, Access
from headrace.runtime.access.rules import rules
from headrace.runtime.http import create_app
from headrace.runtime.metrics import Metrics

ERROR = Draft202012Validator(schemas()["error"])


async def healthy() -> None:
    return None


async def broken() -> None:
    raise ConnectionError("redis://user:secret@10.0.0.1 refused")


def app_with(checks: Mapping[str, Callable[[], Awaitable[None]]]) -> FastAPI:
    metrics = Metrics("test")
    metrics.dead_letters.labels("invalid_json").inc()
    app = create_app("test", metrics=metrics, checks=checks, access=Access.by_root("test", rules({}), "s3cret"))

    @app.get("/admin", dependencies=[GUARD])
    async def admin() -> dict[str, bool]:
        return {"success": True}

    @app.get("/numbers/{number}")
    async def number(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/busy")
    async def busy() -> None:
        raise ApiError(503, "log_unavailable", "Try again in a moment.", retry_after=2)

    @app.get("/definition")
    async def definition() -> None:
        raise InvalidDefinition([Problem("when.trait", "is not a known field", "did you mean event?")])

    @app.post("/body")
    async def body(wanted: dict[str, int]) -> None:
        pass

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "I am a teapot.")

    @app.delete("/teapot")
    async def broken_teapot() -> None:
        raise asyncpg.CharacterNotInRepertoireError("eva@example.com\0")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("eva@example.com")

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_with({"log": healthy}), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/numbers/x", 400, "invalid_request"),
        ("GET", "/busy", 503, "log_unavailable"),
        ("GET", "/definition", 400, "invalid_definition"),
        ("GET", "/teapot", 418, "error"),
        ("GET", "/crash", 500, "internal"),
        ("GET", "/admin", 401, "unauthorized"),
    ],
)
async def test_every_error_has_one_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    ERROR.validate(response.json())
    assert response.json()["code"] == code
    assert response.json()["message"]


async def test_a_body_that_is_not_called_json_is_told_what_it_lacks(client: httpx.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says
    refused = await client.post("/body", content=b'{"a": 1}', headers=form)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert "Content-Type: application/json" in refused.json()["message"]
    assert (await client.post("/body", json={"a": 1})).status_code == 200
    assert "body.a" in (await client.post("/body", json={"a": "x"})).json()["message"]


async def test_a_definitions_problems_are_listed(client: httpx.AsyncClient) -> None:
    body = (await client.get("/definition")).json()
    assert body["problems"] == [
        {"path": "when.trait", "reason": "is not a known field", "suggestion": "did you mean event?"}
    ]


async def test_retry_after_is_whole_seconds(client: httpx.AsyncClient) -> None:
    assert (await client.get("/busy")).headers["retry-after"] == "2"


async def test_a_crash_tells_the_caller_nothing_of_its_inside(client: httpx.AsyncClient) -> None:
    assert "eva@example.com" not in (await client.get("/crash")).text


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic czNjcmV0", "Bearer s3cret2", "s3cret"]
)
async def test_a_wrong_token_is_refused(client: httpx.AsyncClient, authorization: str) -> None:
    response = await client.get("/admin", headers={"Authorization": authorization})
    assert response.status_code == 401


async def test_a_token_that_is_not_ascii_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/admin", headers=[(b"authorization", "Bearer žluť".encode())])
    assert response.status_code == 401


async def test_the_admin_token_opens(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin", headers={"Authorization": "Bearer s3cret"})).status_code == 200


async def test_healthy_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"success": True}
    assert (await client.get("/readyz")).json() == {"success": True, "ready": ["log"]}


async def test_an_engine_that_is_down_makes_it_unready_not_unhealthy() -> None:
    transport = httpx.ASGITransport(app_with({"log": healthy, "database": broken}))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        ready = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert ready.status_code == 503
    assert "database (ConnectionError)" in ready.json()["message"]
    assert "secret" not in ready.text
    assert ready.headers["retry-after"] == "1"
    ERROR.validate(json.loads(ready.text))


async def test_metrics_are_exposed(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'headrace_dead_letters_total{reason="invalid_json"} 1.0' in response.text


async def test_a_wrong_method_is_told_all_that_the_path_takes(client: httpx.AsyncClient) -> None:
    response = await client.put("/teapot")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, DELETE")


async def test_what_postgres_has_no_text_for_is_the_callers_mistake(client: httpx.AsyncClient) -> None:
    response = await client.delete("/teapot")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert "eva@" not in response.text
