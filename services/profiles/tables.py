"""The tables and views that the read API selects from, for SQLAlchemy Core. DDL is in `migrations/`."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

profile = Table(
    "profile",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("traits", JSONB),
    Column("trait_times", JSONB),
    Column("consents", JSONB),
    Column("computed", JSONB),
    Column("tags", JSONB),
    Column("first_seen", BigInteger),
    Column("last_seen", BigInteger),
    Column("merged_into", Text),
    Column("erased", Boolean),
)
identifier = Table(
    "identifier",
    metadata,
    Column("type", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("profile_id", Text),
    Column("first_seen", BigInteger),
    Column("last_seen", BigInteger),
    Column("source", Text),
    Column("trusted", Boolean),
    Column("quarantined_at", BigInteger),
)
alias = Table(
    "alias",
    metadata,
    Column("profile_id", Text, primary_key=True),
    Column("root", Text),
)
timeline = Table(
    "timeline",
    metadata,
    Column("q", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("epoch", Integer),
    Column("time", BigInteger),
    Column("low", BigInteger),
    Column("profile_id", Text),
    Column("kind", Text),
    Column("event", Text),
    Column("ts", BigInteger),
    Column("source", Text),
    Column("payload", Text),
)
