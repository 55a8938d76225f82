"""Arrays sent as text are what Postgres reads."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.profiles.arrays import nullable_text_array, number_array, text_array

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    ["NULL", "null", "", '"', "\\", '\\"', "{", "}", ",", '","', '{"a":"b\\n"}', " a "]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
with_database = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@with_database
@given(values=st.lists(TEXT))
async def test_text(connection: asyncpg.Connection, values: list[str]) -> None:
    assert await connection.fetchval("SELECT $1::text::text[]", text_array(values)) == values


@with_database
@given(values=st.lists(TEXT | st.none()))
async def test_text_with_nulls(connection: asyncpg.Connection, values: list[str | None]) -> None:
    assert await connection.fetchval("SELECT $1::text::text[]", nullable_text_array(values)) == values


@with_database
@given(values=st.lists(NUMBERS))
async def test_numbers(connection: asyncpg.Connection, values: list[int]) -> None:
    assert await connection.fetchval("SELECT $1::text::bigint[]", number_array(values)) == values
