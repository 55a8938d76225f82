"""A backup of one service's schema, put back while the log goes on: what `pg_restore` does to it."""

import asyncpg

from headrace.local.restored import raise_epochs
from headrace.local.services import installed_services

_TABLES = """
    SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
        AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY c.relname ORDER BY c.relname
"""


class Backup:
    """Of the schema of this service, which has its name. `take` replaces an earlier one."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema

    async def take(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute("DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup")
        for table, columns in await connection.fetch(_TABLES, self._schema):
            await connection.execute(
                f"CREATE TABLE backup.{table} AS SELECT {columns} FROM {self._schema}.{table}"
            )
        await connection.close()

    async def restore(self) -> None:
        """Put it back, and do what `headrace restored` does."""
        connection = await asyncpg.connect(self._url)
        tables = [tuple(row) for row in await connection.fetch(_TABLES, self._schema)]
        names = ", ".join(f"{self._schema}.{table}" for table, _ in tables)
        await connection.execute(f"SET session_replication_role = replica; TRUNCATE {names}")
        for table, columns in tables:
            await connection.execute(
                f"INSERT INTO {self._schema}.{table} ({columns}) OVERRIDING SYSTEM VALUE "
                f"SELECT {columns} FROM backup.{table}"
            )
        await connection.close()
        await self.note()

    async def note(self) -> None:
        """`headrace restored` without its look at who is connected: a test's own pool stands for no service."""
        connection = await asyncpg.connect(self._url)
        await raise_epochs(connection, [one for one in installed_services() if one.name == self._schema])
        await connection.close()
