"""The guard in front of the routes: links, links that are none, and wrong admin tokens."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from headrace.runtime.access.guard import GUARD, Access
from headrace.runtime.http import create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.guard import RateGuard
from headrace.runtime.rate.limiter import RateLimiter
from headrace.runtime.rate.settings import GuardSettings

TOKEN = "s3cret-token"
RATE = Rate(1.0, 4)
MOST = RATE.burst + RATE.swing


@dataclass
class Guarded:
    """A small service behind the guard; its clock stands."""

    guard: RateGuard
    now: int = 0
    served: list[str] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    @asynccontextmanager
    async def client(self, address: str = "203.0.113.7") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.guard, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


def guarded(trusted_hops: int = 0) -> Guarded:
    metrics = Metrics("test")
    app = create_app("test", metrics=metrics, checks={}, access=Access.by_root("test", {}, TOKEN))
    settings = GuardSettings(RATE, RATE, RATE, trusted_hops, None, "")
    clock: Callable[[], int] = lambda: found.now  # noqa: E731
    found = Guarded(RateGuard(app, RateLimiter(None, metrics, clock), settings, metrics, clock=clock))
    _add_routes(app, found.served)
    return found


def _add_routes(app: FastAPI, served: list[str]) -> None:
    @app.get("/c/{token}")
    async def link(token: str) -> PlainTextResponse:
        served.append(token)
        return PlainTextResponse("no link" if token.startswith("x") else "ok", 404 if token[0] == "x" else 200)

    @app.get("/v1/secret", dependencies=[GUARD])
    async def secret() -> dict[str, bool]:
        served.append("secret")
        return {"success": True}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def statuses(client: httpx.AsyncClient, path: str, count: int, **headers: str) -> list[int]:
    return [(await client.get(path, headers=headers)).status_code for _ in range(count)]


async def test_one_link_is_limited_and_others_are_not() -> None:
    service = guarded()
    async with service.client() as client:
        found = await statuses(client, "/c/one", 20)
        passed = found.count(200)
        assert found == [200] * passed + [429] * (20 - passed)
        assert RATE.burst <= passed <= MOST
        assert service.served == ["one"] * passed
        assert await statuses(client, "/c/two", 1) == [200]


async def test_a_refusal_says_when_to_come_back_and_then_it_works() -> None:
    service = guarded()
    async with service.client() as client:
        await statuses(client, "/c/one", 20)
        answer = await client.get("/c/one")
        assert answer.json()["code"] == "rate_limited"
        service.now += 1000 * int(answer.headers["retry-after"])
        await client.get("/c/one")  # what was owed is paid with this one
        service.now += 1000 * RATE.swing
        assert await statuses(client, "/c/one", 1) == [200]


async def test_a_mail_proxy_may_fetch_links_of_many_customers() -> None:
    async with guarded().client() as client:
        found = [(await client.get(f"/c/{number}")).status_code for number in range(200)]
    assert found == [200] * 200


async def test_links_that_are_long_are_not_kept_as_they_are() -> None:
    service = guarded()
    async with service.client() as client:
        assert await statuses(client, "/c/x" + "y" * 8_000, 1) == [404]
        assert await statuses(client, "/c/ours", 20) != [200] * 20
    assert max(len(key) for _, key in service.guard._links._known) <= 64


async def test_whoever_tries_links_is_refused_but_links_of_ours_work() -> None:
    service = guarded()
    async with service.client() as client:
        found = [(await client.get(f"/c/x{number}")).status_code for number in range(20)]
        assert RATE.burst <= found.count(404) <= MOST
        assert found[-1] == 429
        assert await statuses(client, "/c/ours", 1) == [200]
    async with service.client("198.51.100.1") as other:
        assert await statuses(other, "/c/x1000", 1) == [404]


async def test_wrong_admin_tokens_lock_the_address_out() -> None:
    service = guarded()
    async with service.client() as client:
        found = await statuses(client, "/v1/secret", 20, **bearer("guess"))
        assert RATE.burst <= found.count(401) <= MOST
        assert found[-1] == 429
        assert await statuses(client, "/v1/secret", 1, **bearer(TOKEN)) == [429]
        assert service.served == []
    async with service.client("198.51.100.1") as other:
        assert await statuses(other, "/v1/secret", 1, **bearer(TOKEN)) == [200]


async def test_right_admin_tokens_are_not_counted() -> None:
    async with guarded().client() as client:
        assert await statuses(client, "/v1/secret", 100, **bearer(TOKEN)) == [200] * 100


async def test_a_locked_out_address_comes_back() -> None:
    service = guarded()
    async with service.client() as client:
        await statuses(client, "/v1/secret", 20, **bearer("guess"))
        for _ in range(3):
            service.now += 1000 * RATE.swing
            last = (await statuses(client, "/v1/secret", 1, **bearer(TOKEN)))[0]
        assert last == 200


async def test_the_address_is_the_one_that_our_proxy_wrote() -> None:
    service = guarded(trusted_hops=1)
    async with service.client("10.0.0.1") as client:
        for number in range(20):
            forwarded = f"192.0.2.{number}, 203.0.113.7"
            last = await client.get("/v1/secret", headers={**bearer("guess"), "X-Forwarded-For": forwarded})
        assert last.status_code == 429
        right = {**bearer(TOKEN), "X-Forwarded-For": "203.0.113.8"}
        assert (await client.get("/v1/secret", headers=right)).status_code == 200
