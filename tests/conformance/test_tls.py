"""Every connection to an engine over TLS, by its URL: with the authority that signed it, and refused without.

Kafka: test_kafka_security.py, on a broker that speaks TLS itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiosmtpd.smtp import SMTP
from sqlalchemy import text

from headrace.log.port import LogUnavailable, UnknownTopic
from headrace.log.redis_streams import RedisStreamsLog
from headrace.runtime.engine import async_engine
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import StoreUnavailable, connect_pool
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.buckets import BucketsUnavailable, Lease, RedisBuckets
from services.messenger.providers.port import Accepted, NotSent
from services.messenger.providers.smtp import SmtpAccount, SmtpProvider
from services.segmenter import redis_client
from services.segmenter.eviction import require_noeviction
from services.segmenter.main import MIGRATIONS, SCHEMA
from tests.conformance.provider_suite import outgoing
from tests.conformance.test_provider_smtp import SmtpBench
from tests.tls import Authority, authority, tls_in_front_of

REFUSALS = (OSError, StoreUnavailable, LogUnavailable, BucketsUnavailable, redis_client.StoreUnavailable)
LEASE = Lease("address", "a", Rate(1.0, 5), 2)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "stranger")


@asynccontextmanager
async def postgres_over_tls(url: str, served: Authority, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The database's URL behind TLS, without the parameters that say whom to trust."""
    parts = urlsplit(url)
    assert parts.port
    async with tls_in_front_of(parts.port, served.server_context(), postgres=True) as port:
        yield f"postgresql://{parts.username}:{parts.password}@{host}:{port}{parts.path}"


async def through_pool(url: str) -> None:
    pool = await connect_pool(url, schema="public")
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def through_engine(url: str) -> None:
    engine = async_engine(url, schema="public")
    try:
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1
    finally:
        await engine.dispose()


async def through_migration(url: str) -> None:
    await migrate(url, schema=SCHEMA, scripts=MIGRATIONS)


@pytest.mark.parametrize("way", [through_pool, through_engine, through_migration])
async def test_postgres(
    database_url: str, ours: Authority, stranger: Authority, way: Callable[[str], Awaitable[None]]
) -> None:
    async with postgres_over_tls(database_url, ours) as url:
        await way(f"{url}?sslmode=verify-full&sslrootcert={ours.ca}")
        with pytest.raises(REFUSALS):
            await way(f"{url}?sslmode=verify-full&sslrootcert={stranger.ca}")


async def test_postgres_at_another_name_than_its_certificate_has(database_url: str, tmp_path: Path) -> None:
    elsewhere = authority(tmp_path / "elsewhere", name="db.example.com", address="192.0.2.1")
    async with postgres_over_tls(database_url, elsewhere) as url:
        with pytest.raises(StoreUnavailable):
            await through_pool(f"{url}?sslmode=verify-full&sslrootcert={elsewhere.ca}")


async def test_a_postgres_without_tls_is_refused(database_url: str, ours: Authority) -> None:
    with pytest.raises(StoreUnavailable):
        await through_pool(f"{database_url}?sslmode=verify-full&sslrootcert={ours.ca}")


async def through_state(url: str) -> None:
    client = redis_client.connect(url, retries=0)
    try:
        await require_noeviction(client)
    finally:
        await client.aclose()


async def through_log(url: str) -> None:
    log = await RedisStreamsLog.connect(url, rollback_horizon_ms=0)
    try:
        with pytest.raises(UnknownTopic):  # the server has answered
            await log.bounds("no-topic", 0)
    finally:
        await log.close()


async def through_buckets(url: str) -> None:
    buckets = RedisBuckets(url)
    try:
        assert len(await buckets.lease([LEASE])) == 1
    finally:
        await buckets.close()


@pytest.mark.parametrize("way", [through_state, through_log, through_buckets])
async def test_redis(
    redis_url: str, ours: Authority, stranger: Authority, way: Callable[[str], Awaitable[None]]
) -> None:
    parts = urlsplit(redis_url)
    assert parts.port
    async with tls_in_front_of(parts.port, ours.server_context()) as port:
        url = f"rediss://:{parts.password or ''}@127.0.0.1:{port}{parts.path}"
        await way(f"{url}?ssl_ca_certs={ours.ca}")
        for refused in (f"{url}?ssl_ca_certs={stranger.ca}", url, url.replace("rediss", "redis")):
            with pytest.raises(Exception) as caught:  # noqa: PT011  (each way has its own)
                async with asyncio.timeout(15):
                    await way(refused)
            assert not isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
async def test_mail(ours: Authority, stranger: Authority, implicit: bool) -> None:
    bench = SmtpBench()
    loop = asyncio.get_running_loop()
    context = ours.server_context()

    def server() -> SMTP:
        return SMTP(bench, loop=loop, tls_context=None if implicit else context, require_starttls=not implicit)

    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=context if implicit else None)
    port = listener.sockets[0].getsockname()[1]
    for trusted, expected in ((ours, Accepted), (stranger, NotSent), (None, NotSent)):
        account = SmtpAccount("127.0.0.1", port, "shop@shop.test", tls=implicit, starttls=not implicit)
        provider = SmtpProvider(_trusting(account, trusted), timeout=4)
        assert isinstance(await provider.send(outgoing(bench)), expected)
        await provider.close()
    assert len(bench.mails) == 1
    listener.close()


def _trusting(account: SmtpAccount, trusted: Authority | None) -> SmtpAccount:
    if trusted is None:
        return account
    return replace(account, trust=ssl.create_default_context(cafile=str(trusted.ca)))
