"""A table in the service's schema."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.execute(f"CREATE TABLE {schema}.made (at timestamptz NOT NULL DEFAULT clock_timestamp())")
    op.execute(f"INSERT INTO {schema}.made DEFAULT VALUES")
