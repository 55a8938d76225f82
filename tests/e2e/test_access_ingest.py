"""Write keys, tokens and the audit log of ingest on a real Postgres, which may go away."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from headrace.contracts.topics import EVENTS
from headrace.local.ports import free_port
from headrace.log.topics import ensure_topics
from headrace.runtime.access.following import follow
from headrace.runtime.access.stored import StoredTokens
from headrace.runtime.clock import now_ms
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from headrace.runtime.settings import Environment
from services.ingest import stored_keys
from services.ingest.main import MIGRATIONS, SCHEMA, assemble
from services.ingest.registry import Registry
from services.ingest.settings import load_settings
from services.ingest.sources import Sources
from services.ingest.stored_keys import StoredKeys
from tests import deployment
from tests.faults.proxy import Proxy
from tests.http.documented import DocumentedTransport
from tests.unit.ingest.memory_log import MemoryLog
from tests.unit.ingest.service import ENVIRONMENT, PARTITIONS, SERVER_KEY, basic

ROOT = {"Authorization": "Bearer admin"}
SOON = 4.0
"""Seconds. Shorter than what is between two looks without a notice, so that the notice is what is waited for."""


@dataclass
class Ingest:
    client: httpx.AsyncClient
    registry: Registry
    log: MemoryLog
    pool: "asyncpg.Pool[asyncpg.Record]"
    now: int

    async def admin(self, method: str, path: str, body: object = None, token: str = "admin") -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.client.request(method, path, json=body, headers=headers)
        return answer.raise_for_status().json()

    async def send(self, key: str, id: str, **headers: str) -> int:
        event = {"event": "Seen", "anonymousId": "a", "messageId": id}
        answer = await self.client.post("/v1/track", json=event, headers={**basic(key), **headers})
        return answer.status_code

    async def key(self, name: str, **source: Any) -> dict[str, Any]:
        """A new key of a source that is put."""
        await self.admin("PUT", f"/v1/sources/{name}", {"kind": "public", **source})
        made: dict[str, Any] = await self.admin("POST", f"/v1/sources/{name}/keys", {})
        await soon(lambda: self.known(made["id"]))
        return made

    async def known(self, key_id: str) -> bool:
        return any(source.key_id == key_id for source in self.registry.keys.sources())


async def soon(condition: Callable[[], Awaitable[bool]], seconds: float = SOON) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (what is waited for happens in Postgres)
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def template(postgres_url: str) -> Iterator[str]:
    """Name of a migrated database to copy: migrating is the slow part."""
    with deployment.database(postgres_url) as url, ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate(url, schema=SCHEMA, scripts=MIGRATIONS)).result()
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
async def proxied(postgres_url: str, template: str) -> AsyncIterator[tuple[str, contextlib.ExitStack]]:
    """A migrated database behind a proxy, whose end is the end of Postgres as far as ingest sees."""
    name = f"{template}_{secrets.token_hex(4)}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    parts = urlsplit(postgres_url)._replace(path=f"/{name}")
    assert parts.port is not None
    with contextlib.ExitStack() as proxy:
        port = proxy.enter_context(Proxy(free_port(), parts.port)).port
        place = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
        yield urlunsplit(parts._replace(netloc=place)), proxy
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
async def ingest(proxied: tuple[str, contextlib.ExitStack]) -> AsyncIterator[Ingest]:
    async with running(proxied[0]) as service:
        await soon(ready(service), 10)
        yield service


@contextlib.asynccontextmanager
async def running(database_url: str) -> AsyncIterator[Ingest]:
    settings = load_settings(Environment({**ENVIRONMENT, "HEADRACE_DATABASE_URL": database_url}))
    log = MemoryLog()
    await ensure_topics(log, prefix="", partitions=PARTITIONS)
    pool = await connect_pool(database_url, schema=SCHEMA, min_size=0)
    service = Ingest(httpx.AsyncClient(), Registry(settings, pool, clock=lambda: service.now), log, pool, now_ms())
    app = assemble(log, settings, service.registry)
    service.client = httpx.AsyncClient(transport=DocumentedTransport("ingest", app), base_url="http://ingest")
    tasks = [asyncio.ensure_future(part) for part in service.registry.background()]
    try:
        yield service
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.terminate()
        await service.client.aclose()


def ready(service: Ingest) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        return (await service.client.get("/readyz")).status_code == 200

    return is_ready


async def test_a_key_takes_events_for_its_source_until_it_is_revoked(ingest: Ingest) -> None:
    made = await ingest.key("shop")
    assert await ingest.send(made["key"], "1") == 200
    await ingest.admin("DELETE", f"/v1/sources/shop/keys/{made['id']}")

    async def refused() -> bool:
        return await ingest.send(made["key"], "2") == 401

    await soon(refused)
    [shown] = (await ingest.admin("GET", "/v1/sources/shop"))["keys"]
    assert shown["revoked_at"] is not None
    assert made["key"] not in str(await ingest.admin("GET", "/v1/sources"))


async def test_a_stored_source_has_the_rate_that_it_was_given_until_it_is_given_another(ingest: Ingest) -> None:
    made = await ingest.key("slow", rate=0.001)
    answers = [await ingest.send(made["key"], f"s{number}") for number in range(12)]
    assert set(answers) == {200, 429}
    assert 1 <= answers.count(200) <= 3  # a burst of one, and what one process may be ahead
    other = await ingest.key("quick")
    assert {await ingest.send(other["key"], f"q{number}") for number in range(12)} == {200}
    await ingest.admin("PUT", "/v1/sources/slow", {"kind": "public", "rate": 500})

    async def is_quick() -> bool:
        return await ingest.send(made["key"], "again") == 200

    await soon(is_quick)


async def test_a_key_is_stored_as_its_hash(ingest: Ingest) -> None:
    made = await ingest.key("shop")
    token = await ingest.admin("POST", "/v1/tokens", {"name": "t", "scopes": ["read"]})
    tables = "SELECT k::text FROM access.write_key AS k UNION ALL SELECT t::text FROM access.admin_token AS t"
    rows = await ingest.pool.fetch(tables)
    for secret in (made["key"], token["token"]):
        assert not any(secret in row[0] for row in rows)


async def test_rotation_loses_no_event(ingest: Ingest) -> None:
    """Events go on all the time, by the newest key that the sender has been told."""
    old = await ingest.key("shop")
    using, stop = [old["key"]], asyncio.Event()
    sent: list[str] = []

    async def sender() -> None:
        while not stop.is_set():
            sent.append(f"m{len(sent)}")
            assert await ingest.send(using[-1], sent[-1]) == 200

    sending = asyncio.create_task(sender())
    new = await ingest.admin("POST", "/v1/sources/shop/keys", {})
    await soon(lambda: ingest.known(new["id"]))
    using.append(new["key"])
    seen = len(sent)
    await soon(lambda: at_least(sent, seen + 20), 10)
    await ingest.admin("DELETE", f"/v1/sources/shop/keys/{old['id']}")

    async def revoked() -> bool:
        return not await ingest.known(old["id"])

    await soon(revoked)
    seen = len(sent)
    await soon(lambda: at_least(sent, seen + 20), 10)
    stop.set()
    await sending
    landed = b"".join(record.value or b"" for record in ingest.log.records(EVENTS.name))
    assert [id for id in sent if f'"{id}"'.encode() not in landed] == []


async def at_least(sent: list[str], count: int) -> bool:
    return len(sent) >= count


async def test_a_key_that_expires_takes_nothing_more(ingest: Ingest) -> None:
    await ingest.key("shop")
    made = await ingest.admin("POST", "/v1/sources/shop/keys", {"expires_in": "1h"})
    await soon(lambda: ingest.known(made["id"]))
    ingest.now += 2 * 3_600_000
    await ingest.admin("PUT", "/v1/sources/shop", {"kind": "public"})  # has the keys read

    async def refused() -> bool:
        return await ingest.send(made["key"], "1") == 401

    await soon(refused)


@pytest.mark.parametrize(
    ("required", "origin", "status"),
    [
        (False, "https://shop.example.com", 200),
        (False, "https://evil.example.com", 403),
        (False, "null", 403),
        (False, None, 200),
        (True, "https://shop.example.com", 200),
        (True, None, 403),
    ],
)
async def test_a_public_key_is_for_its_pages(
    ingest: Ingest, required: bool, origin: str | None, status: int
) -> None:
    made = await ingest.key("site", origins=["https://Shop.example.com"], origins_required=required)
    headers = {} if origin is None else {"Origin": origin}
    event = {"event": "Seen", "anonymousId": "a"}
    answer = await ingest.client.post("/v1/track", json=event, headers={**basic(made["key"]), **headers})
    assert answer.status_code == status
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin if status == 200 else None)


async def test_a_public_source_is_not_trusted(ingest: Ingest) -> None:
    web, shop = await ingest.key("site"), await ingest.key("erp", kind="server")
    await ingest.send(web["key"], "w")
    await ingest.send(shop["key"], "s")
    trusted = [b'"trusted":true' in (record.value or b"") for record in ingest.log.records(EVENTS.name)]
    assert sorted(trusted) == [False, True]


async def test_a_deleted_source_takes_nothing_and_its_old_keys_stay_dead(ingest: Ingest) -> None:
    made = await ingest.key("shop")
    await ingest.admin("DELETE", "/v1/sources/shop")
    again = await ingest.key("shop")
    assert await ingest.send(again["key"], "1") == 200
    assert await ingest.send(made["key"], "2") == 401


async def test_what_was_used_is_written_down(ingest: Ingest) -> None:
    made = await ingest.key("shop")
    await ingest.send(made["key"], "1")
    assert ingest.registry.keys.used == {made["id"]}
    await StoredKeys(ingest.registry.keys, ingest.pool, now_ms).write_used()
    token = await ingest.admin("POST", "/v1/tokens", {"name": "t", "scopes": ["admin"]})
    await soon(lambda: opens(ingest, token["token"]))
    await StoredTokens(ingest.registry.access, ingest.pool).write_used()
    [source] = (await ingest.admin("GET", "/v1/sources"))["items"]
    [shown] = (await ingest.admin("GET", "/v1/tokens"))["items"]
    assert (source["keys"][0]["last_used_at"], shown["last_used_at"]) != (None, None)
    assert None not in (source["keys"][0]["last_used_at"], shown["last_used_at"])


async def opens(ingest: Ingest, token: str) -> bool:
    answer = await ingest.client.get("/v1/tokens", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200


async def test_an_expired_token_is_refused(ingest: Ingest) -> None:
    token = await ingest.admin("POST", "/v1/tokens", {"name": "t", "scopes": ["admin"], "expires_in": "1h"})
    await soon(lambda: opens(ingest, token["token"]))
    ingest.registry.access.clock = lambda: now_ms() + 3_600_001
    answer = await ingest.client.get("/v1/tokens", headers={"Authorization": f"Bearer {token['token']}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE access.audit SET actor_name = 'x'", "DELETE FROM access.audit", "TRUNCATE access.audit"],
)
async def test_the_audit_log_takes_nothing_back(ingest: Ingest, statement: str) -> None:
    await ingest.admin("PUT", "/v1/sources/shop", {"kind": "server"})
    before = await ingest.pool.fetch("TABLE access.audit")
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await ingest.pool.execute(statement)
    assert await ingest.pool.fetch("TABLE access.audit") == before != []


async def test_acts_can_be_asked_for(ingest: Ingest) -> None:
    for name in ("a", "b", "c"):
        await ingest.admin("PUT", f"/v1/sources/{name}", {"kind": "server"})
    await ingest.admin("DELETE", "/v1/sources/c")
    rows, query = [], "/v1/audit?limit=3&route=/v1/sources/{source_name}&actor=root"
    cursor: str | None = ""
    while cursor is not None:
        page = await ingest.admin("GET", query + (f"&cursor={cursor}" if cursor else ""))
        rows += page["items"]
        cursor = page["next"]
    assert [(row["method"], row["target"]["source_name"], row["status"]) for row in rows] == [
        ("DELETE", "c", 200),
        ("DELETE", "c", None),
        *[("PUT", name, status) for name in "cba" for status in (200, None)],
    ]
    assert (await ingest.admin("GET", "/v1/audit?actor=nobody"))["items"] == []
    assert (await ingest.admin("GET", "/v1/audit?since=2999-01-01T00:00:00Z"))["items"] == []


async def test_without_postgres_collecting_goes_on_and_acts_are_refused(
    ingest: Ingest, proxied: tuple[str, contextlib.ExitStack]
) -> None:
    made = await ingest.key("shop")
    token = await ingest.admin("POST", "/v1/tokens", {"name": "t", "scopes": ["admin"]})
    await soon(lambda: opens(ingest, token["token"]))
    proxied[1].close()
    assert [await ingest.send(key, key) for key in (SERVER_KEY, made["key"])] == [200, 200]
    assert (await ingest.client.get("/readyz")).status_code == 200
    bearer = {"Authorization": f"Bearer {token['token']}"}
    for headers in (ROOT, bearer):
        answer = await ingest.client.put("/v1/sources/x", json={"kind": "server"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert (await ingest.client.get("/v1/sources", headers=bearer)).json()["code"] == "unavailable"


async def test_without_postgres_a_key_that_expires_takes_nothing_more(
    ingest: Ingest, proxied: tuple[str, contextlib.ExitStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_keys, "POLL_SECONDS", 0.1)
    await ingest.key("shop")
    made = await ingest.admin("POST", "/v1/sources/shop/keys", {"expires_in": "1h"})
    await soon(lambda: ingest.known(made["id"]))
    proxied[1].close()
    ingest.now += 2 * 3_600_000

    async def refused() -> bool:
        return await ingest.send(made["key"], "1") == 401

    await soon(refused, 10)
    assert await ingest.send(SERVER_KEY, "2") == 200


async def test_a_key_that_is_made_while_its_source_is_deleted_is_revoked_too(ingest: Ingest) -> None:
    """Both wait for each other, whoever came first: the key is not made, or it is revoked."""
    await ingest.key("shop")
    sources = Sources(ingest.pool)
    async with ingest.pool.acquire() as connection:
        deleting = connection.transaction()
        await deleting.start()
        await connection.execute("UPDATE access.source SET disabled_at = now() WHERE name = 'shop'")
        adding = asyncio.create_task(sources.add_key("shop", None))
        await asyncio.sleep(0.2)
        await connection.execute("UPDATE access.write_key SET revoked_at = now() WHERE source = 'shop'")
        await deleting.commit()
    assert await adding is None
    assert await ingest.pool.fetchval("SELECT count(*) FROM access.write_key WHERE revoked_at IS NULL") == 0


@pytest.mark.parametrize("path", ["/v1/sources/a%00b", "/v1/sources/shop/keys/%00", "/v1/tokens/%00"])
async def test_a_path_with_a_nul_is_refused_as_what_it_is(ingest: Ingest, path: str) -> None:
    answer = await ingest.client.delete(path, headers=ROOT)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("rate", [1e-300, 5e-324, 0.0009, 0, -1])
async def test_a_rate_that_cannot_be_counted_is_refused(ingest: Ingest, rate: float) -> None:
    body = {"kind": "public", "rate": rate}
    answer = await ingest.client.put("/v1/sources/slow", json=body, headers=ROOT)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_nothing_that_reading_raises_ends_the_service(ingest: Ingest) -> None:
    failed = asyncio.Event()

    async def load(connection: object) -> float:
        failed.set()
        raise asyncpg.OutdatedSchemaCacheError("a migration came in between")

    following = asyncio.create_task(follow(ingest.pool, load))
    await failed.wait()
    await asyncio.sleep(0.1)
    assert not following.done()
    following.cancel()


async def test_a_start_without_postgres_knows_the_settings_keys_alone() -> None:
    async with running(f"postgresql://nobody@127.0.0.1:{free_port()}/none") as ingest:
        assert await ingest.send(SERVER_KEY, "1") == 200
        assert await ingest.send("a key that may be stored", "2") == 503
        answer = await ingest.client.get("/readyz")
        assert (answer.status_code, answer.json()["message"]) == (503, "Waiting for access (KeysNotRead).")
