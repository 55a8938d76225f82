"""The pool: its schema, its time-outs, and an error that names the address and not the password."""

import asyncpg
import pytest

from headrace.runtime.postgres import StoreUnavailable, connect_pool


async def test_connections_look_in_the_services_schema_and_have_time_outs(database_url: str) -> None:
    pool = await connect_pool(database_url, schema="segmenter")
    try:
        row = await pool.fetchrow(
            "SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS statement,"
            " current_setting('idle_in_transaction_session_timeout') AS idle,"
            " current_setting('application_name') AS name, current_setting('timezone') AS zone"
        )
    finally:
        await pool.close()
    assert row is not None
    assert dict(row) == {
        "path": "segmenter",
        "statement": "30s",
        "idle": "1min",
        "name": "headrace-segmenter",
        "zone": "UTC",
    }


async def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="cannot connect to Postgres") as caught:
        await connect_pool("postgresql://user:s3cret@127.0.0.1:1/x", schema="profiles")
    assert "s3cret" not in str(caught.value)


async def test_a_wrong_password_is_said_without_it(database_url: str) -> None:
    wrong = database_url.replace("@", "-s3cret@")
    with pytest.raises(StoreUnavailable) as caught:
        await connect_pool(wrong, schema="profiles")
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, asyncpg.PostgresError)
