"""Fixtures every test may use: the embedded engines, once a session, and clean databases in them."""

import itertools
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import redis

from tests import engines

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """URL of the session's Valkey as the segment state has it."""
    with engines.valkey() as engine:
        yield engine.url


@pytest.fixture(scope="session")
def log_valkey_url() -> Iterator[str]:
    """URL of the session's Valkey as the event log has it: every append is fsynced."""
    with engines.valkey("always") as engine:
        yield engine.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of the session's Postgres server, as its superuser."""
    with engines.postgres() as engine:
        yield engine.url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """URL of a fresh, empty database; it is dropped after the test."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """URL of an empty Valkey for the segment state."""
    return _flushed(valkey_url)


@pytest.fixture
def log_url(log_valkey_url: str) -> str:
    """URL of an empty Valkey for the event log."""
    return _flushed(log_valkey_url)


def _flushed(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
    return url
