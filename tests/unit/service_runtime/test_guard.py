"""The guard in front of routes, and the rows it has written."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from headrace.contracts.errors import ApiError
from headrace.runtime.access.act import Act
from headrace.runtime.access.guard import GUARD, Access
from headrace.runtime.access.rules import rules
from headrace.runtime.access.tokens import Token, digest
from headrace.runtime.http import create_app
from headrace.runtime.metrics import Metrics

RULES = rules(
    {
        "GET /v1/things/{segment_id}": "segments:read",
        "PUT /v1/things/{segment_id}": "segments",
        "POST /v1/crash": "admin",
    }
)


@dataclass
class MemoryTrail:
    """A trail whose rows can be looked at."""

    refuses: bool = False
    begun: list[Act] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)

    async def begin(self, act: Act) -> None:
        if self.refuses:
            raise ApiError(503, "audit_unavailable", "Not now.", retry_after=1)
        self.begun.append(act)

    async def end(self, act: Act, status: int, duration_ms: int) -> None:
        assert duration_ms >= 0
        self.ended.append((act.id, status))


@dataclass
class Guarded:
    access: Access
    trail: MemoryTrail
    client: httpx.AsyncClient
    done: list[str]

    async def ask(self, method: str, path: str, token: str, **headers: str) -> httpx.Response:
        return await self.client.request(method, path, headers={"Authorization": f"Bearer {token}", **headers})


def routes(done: list[str]) -> APIRouter:
    outer, inner = APIRouter(prefix="/v1", dependencies=[GUARD]), APIRouter()

    @inner.get("/things/{segment_id}")
    async def look(segment_id: str) -> dict[str, str]:
        return {"id": segment_id}

    @inner.put("/things/{segment_id}")
    async def change(segment_id: str) -> None:
        done.append(segment_id)

    @inner.post("/crash")
    async def crash() -> None:
        raise RuntimeError("broken")

    @inner.get("/forgotten")
    async def forgotten() -> None:
        done.append("forgotten")

    outer.include_router(inner)
    return outer


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    access = Access.by_root("test", RULES, "r00t")
    access.trail = trail = MemoryTrail()
    access.clock = lambda: 1_000
    access.tokens.replace(
        (digest(name), Token(name, name, frozenset({name}), 2_000)) for name in ("read", "segments", "campaigns")
    )
    app: FastAPI = create_app("test", metrics=Metrics("test"), checks={}, access=access)
    done: list[str] = []
    app.include_router(routes(done))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Guarded(access, trail, client, done)


@pytest.mark.parametrize(
    ("method", "token", "status"),
    [
        ("GET", "read", 200),
        ("GET", "segments", 200),
        ("GET", "r00t", 200),
        ("GET", "campaigns", 403),
        ("GET", "nobody", 401),
        ("PUT", "segments", 200),
        ("PUT", "read", 403),
        ("PUT", "r00t", 200),
    ],
)
async def test_scopes_open_what_they_name(guarded: Guarded, method: str, token: str, status: int) -> None:
    assert (await guarded.ask(method, "/v1/things/vip", token)).status_code == status
    assert guarded.done == (["vip"] if (method, status) == ("PUT", 200) else [])


async def test_a_refusal_says_which_scope_is_missing(guarded: Guarded) -> None:
    body = (await guarded.ask("PUT", "/v1/things/vip", "read")).json()
    assert (body["code"], body["message"]) == ("missing_scope", "The token read lacks the scope segments.")


async def test_an_expired_token_opens_nothing(guarded: Guarded) -> None:
    guarded.access.clock = lambda: 2_000
    answer = await guarded.ask("GET", "/v1/things/vip", "read")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


async def test_a_route_that_no_table_has_is_for_admin(guarded: Guarded) -> None:
    assert (await guarded.ask("GET", "/v1/forgotten", "read")).status_code == 403
    assert (await guarded.ask("GET", "/v1/forgotten", "r00t")).status_code == 200


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "198.51.100.9", "203.0.113.7"),
        (1, "10.9.9.9, 198.51.100.9", "198.51.100.9"),
        (2, "10.9.9.9, 198.51.100.9:4711, 10.0.0.1", "198.51.100.9"),
        (1, "", "203.0.113.7"),
        (1, "a name of somebody", "unknown"),
    ],
)
async def test_the_audit_log_has_the_address_that_our_proxies_wrote(
    guarded: Guarded, hops: int, forwarded: str, address: str
) -> None:
    guarded.access.trusted_hops = hops
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert (await guarded.ask("PUT", "/v1/things/vip", "segments", **headers)).status_code == 200
    assert [act.address for act in guarded.trail.begun] == [address]


async def test_an_act_has_a_row_before_and_one_after(guarded: Guarded) -> None:
    await guarded.ask("PUT", "/v1/things/vip", "segments", **{"X-Request-Id": "r-1"})
    [act] = guarded.trail.begun
    assert (act.actor_id, act.service, act.method, act.route) == (
        "segments",
        "test",
        "PUT",
        "/v1/things/{segment_id}",
    )
    assert (act.address, act.target, act.request_id) == ("203.0.113.7", {"segment_id": "vip"}, "r-1")
    assert guarded.trail.ended == [(act.id, 200)]


async def test_a_crash_is_an_end_too(guarded: Guarded) -> None:
    assert (await guarded.ask("POST", "/v1/crash", "r00t")).status_code == 500
    assert [status for _, status in guarded.trail.ended] == [500]


@pytest.mark.parametrize(("method", "token"), [("GET", "segments"), ("PUT", "read"), ("PUT", "nobody")])
async def test_looking_and_what_is_refused_is_no_act(guarded: Guarded, method: str, token: str) -> None:
    await guarded.ask(method, "/v1/things/vip", token)
    assert (guarded.trail.begun, guarded.trail.ended) == ([], [])


async def test_what_cannot_be_written_down_is_not_done(guarded: Guarded) -> None:
    guarded.trail.refuses = True
    answer = await guarded.ask("PUT", "/v1/things/vip", "segments")
    assert (answer.status_code, answer.headers["retry-after"], guarded.done) == (503, "1", [])
    assert (await guarded.ask("GET", "/v1/things/vip", "segments")).status_code == 200
