"""What the manifests tell the engines, on real ones: Valkey's configuration and users, TLS to Postgres."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import certifi
import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from services.segmenter.change import Occasion, Person, Transition
from services.segmenter.commit import Commit, Output, Watermark
from services.segmenter.customer import Customer
from services.segmenter.eviction import require_noeviction
from services.segmenter.redis_client import connect
from services.segmenter.store import RedisStore
from tests import engines
from tests.deploy.manifests import get, rendered
from tests.deploy.valkey import ValkeyServer

KEPT = "headrace:segmenter:{0}:kept"
DANGEROUS = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "*"),
    ("SHUTDOWN",),
    ("SAVE",),
    ("ACL", "LIST"),
    ("MONITOR",),
    ("CLIENT", "LIST"),
    ("REPLICAOF", "NO", "ONE"),
)


ENTERED = Transition(
    Occasion("p1", "event", at=1, cause_message_id="m0", row_seq=1, seq=1, now=1, person=Person()),
    segment_id="s",
    segment_name="S",
    version=1,
    action="entered",
    entry_id="e1",
    message_id="m1",
    sequence=1,
    step=1,
)


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with engines.data_folder() as folder:
        server = ValkeyServer(folder)
        with server.running():
            yield server


async def test_the_segmenter_works_with_its_rights(server: ValkeyServer) -> None:
    client = connect(server.url("state"), retries=0)
    try:
        await require_noeviction(client)
        store = RedisStore(client, client)
        await store.reset(0, Watermark(epoch=1))
        mark = Watermark(epoch=1, seq=1, out_seq=1)
        customer = Customer(user_id="u")
        await store.commit(0, Watermark(epoch=1), Commit(mark, {"p1": customer}, [ENTERED], [Output(1, ENTERED)]))
        assert (await store.load(0) or (None,))[0] == mark
        assert await store.profile_ids(0) == ["p1"]
        assert await store.customers(0, ["p1"]) == {"p1": customer}
    finally:
        await client.aclose()


@pytest.mark.parametrize("whose", ["state", "rates"])
@pytest.mark.parametrize("command", DANGEROUS, ids=" ".join)
def test_what_services_never_need_is_refused(server: ValkeyServer, command: tuple[str, ...], whose: str) -> None:
    with redis.Redis.from_url(server.url(whose)) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_rates_see_nothing_of_the_state(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url("rates")) as client:
        assert client.hset("headrace:{rate}:a", "tokens", "1") == 1
        with pytest.raises(NoPermissionError):
            client.hmget(KEPT, "a")


def test_who_does_not_log_in_may_ping(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.without_login) as client:
        assert client.ping()
        with pytest.raises((NoPermissionError, AuthenticationError)):
            client.get("any")


def test_a_wrong_password_is_refused(server: ValkeyServer) -> None:
    wrong = server.url("state").replace("local-state-password", "another")
    with redis.Redis.from_url(wrong) as client, pytest.raises(AuthenticationError):
        client.ping()


def test_what_was_written_is_there_after_a_restart() -> None:
    with engines.data_folder() as folder:
        server = ValkeyServer(folder)
        with server.running(), redis.Redis.from_url(server.url("state")) as client:
            client.set(KEPT, "1")
        with server.running(), redis.Redis.from_url(server.url("state")) as client:
            assert client.get(KEPT) == b"1"
            memory = client.info("memory")
        assert memory["maxmemory"] == 2 * 1024**3
        assert memory["maxmemory_policy"] == "noeviction"


async def test_a_database_that_cannot_prove_itself_is_refused(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pods' variables hold for asyncpg: this server has no TLS."""
    container = get(rendered("production"), "Deployment", "profiles")["spec"]["template"]["spec"]["containers"][0]
    variables = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("PGSSL")}
    assert set(variables) == {"PGSSLMODE", "PGSSLROOTCERT"}
    for name, value in {**variables, "PGSSLROOTCERT": certifi.where()}.items():
        monkeypatch.setenv(name, value)
    host = urlsplit(postgres_url)
    with pytest.raises((ConnectionError, asyncpg.PostgresError)):
        await asyncpg.connect(postgres_url, host="127.0.0.1", port=host.port)
