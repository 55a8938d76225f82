"""Fixtures every test may use: servers once a session, and a clean place on them for each test.

The servers are the embedded ones, or those that the environment names (`make test-kafka`, see tests/servers).
"""

import os
from collections.abc import Iterator

import pytest
import redis

from tests import deployment, engines
from tests.servers import DATABASE_URL, LOG_URL, REDIS_URL

MARKERS = {
    "embedded": "about the embedded engines themselves: in `make test` only",
    "kafka": "about Kafka itself: in `make test-kafka` only",
    "full": "takes long: in `make test-kafka` only",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, what in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {what}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the other make target. pytest tells how many."""
    elsewhere = {"embedded"} if os.environ.get(LOG_URL) else {"kafka", "full"}
    left_out = [item for item in items if elsewhere & {marker.name for marker in item.iter_markers()}]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session")
def log_valkey_url() -> Iterator[str]:
    """URL of the session's Valkey as the event log has it: every append is fsynced."""
    with engines.valkey("always") as engine:
        yield engine.url


@pytest.fixture(scope="session")
def log_server_url(request: pytest.FixtureRequest) -> str:
    """URL of the session's event log, which tests share: each uses topics of its own."""
    url: str = os.environ.get(LOG_URL) or request.getfixturevalue("log_valkey_url")
    return url


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """URL of the session's server for the segment state."""
    if given := os.environ.get(REDIS_URL):
        yield given
    else:
        with engines.valkey() as engine:
            yield engine.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of the session's Postgres server, as its superuser."""
    if given := os.environ.get(DATABASE_URL):
        yield given
    else:
        with engines.postgres() as engine:
            yield engine.url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of a fresh, empty database; it is dropped after the test."""
    with deployment.database(postgres_url) as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> Iterator[str]:
    """URL of an empty database for the segment state."""
    with deployment.redis_database(redis_server_url) as url:
        yield url


@pytest.fixture
def topic_prefix() -> str:
    """What stands before the topics' names, and keeps the test's apart from others'."""
    return deployment.topic_prefix()


@pytest.fixture
def log_url(log_server_url: str) -> str:
    """URL of the event log; where it is Redis, it is emptied."""
    if log_server_url.startswith("redis"):
        with redis.Redis.from_url(log_server_url) as client:
            client.flushall()
            client.script_flush()
    return log_server_url
