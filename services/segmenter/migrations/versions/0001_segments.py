"""Segments with their versions, what partitions report, control records to send, and how far is published."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE segment (
        id         text PRIMARY KEY,
        version    integer NOT NULL,
        state      text NOT NULL CHECK (state IN ('active', 'paused', 'deleted')),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE segment_version (
        id         text NOT NULL REFERENCES segment,
        version    integer NOT NULL,
        name       text NOT NULL,
        definition text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id, version)
    )
    """,
    "COMMENT ON COLUMN segment_version.definition IS 'canonical JSON: equal for equal definitions'",
    """
    CREATE TABLE progress (
        id        text NOT NULL,
        version   integer NOT NULL,
        partition integer NOT NULL,
        live      boolean NOT NULL,
        PRIMARY KEY (id, version, partition),
        FOREIGN KEY (id, version) REFERENCES segment_version
    )
    """,
    """
    CREATE TABLE control_request (
        number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id      text NOT NULL UNIQUE,
        kind    text NOT NULL,
        payload text NOT NULL,
        sent    boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX control_request_waiting ON control_request (number) WHERE NOT sent",
    """
    CREATE TABLE published (
        partition   integer NOT NULL,
        epoch       integer NOT NULL,
        seq         bigint NOT NULL,
        position    text NOT NULL,
        next_offset bigint NOT NULL,
        PRIMARY KEY (partition, epoch)
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("definitions are never taken back; restore a backup instead")
