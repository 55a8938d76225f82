"""When a key that signs links was made, and since when it counts no more."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE signing_key ADD COLUMN created_at bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE signing_key ADD COLUMN retired_at bigint")
    op.execute("COMMENT ON COLUMN signing_key.retired_at IS 'since then its links are refused'")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
