"""What operators watch: messages whose fate is unknown, and how long it takes from an event to its message."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX message_unknown ON message (channel, settled_at) WHERE status = 'unknown'")
    op.execute("ALTER TABLE entry ADD COLUMN received_at bigint NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN entry.received_at IS 'of the event that caused it; 0: of none, or not known'")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
