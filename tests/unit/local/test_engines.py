"""The embedded engines as tests and `headrace up` run them."""

import asyncpg
import redis


async def test_postgres_is_18_in_utf8_with_locale_c_and_demands_the_password(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int / 10000 AS version, pg_encoding_to_char(encoding) AS"
        " encoding, datcollate, current_setting('password_encryption') AS passwords"
        " FROM pg_database WHERE datname = current_database()"
    )
    await connection.close()
    assert row is not None
    assert tuple(row) == (18, "UTF8", "C", "scram-sha-256")


def test_the_log_fsyncs_every_append_and_the_state_never_evicts(log_url: str, redis_url: str) -> None:
    with redis.Redis.from_url(log_url) as log, redis.Redis.from_url(redis_url) as state:
        assert log.config_get("append*")["appendfsync"] == "always"
        assert state.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert state.config_get("appendonly") == {"appendonly": "yes"}
