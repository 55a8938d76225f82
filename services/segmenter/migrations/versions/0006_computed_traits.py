"""How far each partition's computed traits are published."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE published_trait (
        partition   integer NOT NULL,
        epoch       integer NOT NULL,
        seq         bigint NOT NULL,
        position    text NOT NULL,
        next_offset bigint NOT NULL,
        PRIMARY KEY (partition, epoch)
    ) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute(_TABLE)


def downgrade() -> None:
    raise NotImplementedError("definitions are never taken back; restore a backup instead")
