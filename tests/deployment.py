"""What keeps the deployments of tests apart on servers that they share: each has a topic prefix, a database and a
Redis database of its own, which are empty at first and gone in the end."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis

from tests.servers import DATABASE_URL, LOG_URL, REDIS_URL

T = TypeVar("T")

PARTITIONS = "4"
_CLAIM_SECONDS = 3600


def topic_prefix() -> str:
    """A prefix that no other deployment has."""
    return f"test-{secrets.token_hex(4)}."


@contextlib.contextmanager
def on_given_servers() -> Iterator[dict[str, str]]:
    """The settings of a deployment of its own on the servers that the environment names; none where it names none,
    which leaves the embedded ones."""
    settings: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if server := os.environ.get(LOG_URL):
            settings |= {
                "HEADRACE_LOG_URL": server,
                "HEADRACE_TOPIC_PREFIX": topic_prefix(),
                "HEADRACE_PARTITIONS": PARTITIONS,
            }
        if server := os.environ.get(DATABASE_URL):
            settings["HEADRACE_DATABASE_URL"] = stack.enter_context(database(server))
        if server := os.environ.get(REDIS_URL):
            settings["HEADRACE_REDIS_URL"] = stack.enter_context(redis_database(server))
        yield settings


@contextlib.contextmanager
def database(server_url: str) -> Iterator[str]:
    """URL of a new database on the server whose superuser `server_url` names."""
    name = f"test_{secrets.token_hex(6)}"
    _finish(_execute(server_url, f"CREATE DATABASE {name}"))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        _finish(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@contextlib.contextmanager
def redis_database(server_url: str) -> Iterator[str]:
    """URL of an empty numbered database. Database 0 has the claims on the others; those of a run that was killed
    end by themselves."""
    with redis.Redis.from_url(server_url) as server:
        size = int(server.config_get("databases")["databases"])
        number = next((n for n in range(1, size) if server.set(_claim(n), 1, nx=True, ex=_CLAIM_SECONDS)), None)
        assert number is not None, "every database of the Redis server is claimed by some test"
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{number}"))
        try:
            _flush(url)
            yield url
        finally:
            _flush(url)
            server.delete(_claim(number))


def _claim(number: int) -> str:
    return f"headrace-test:database:{number}"


def _flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, also where an event loop runs in this thread already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
