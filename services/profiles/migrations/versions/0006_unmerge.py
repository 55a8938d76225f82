"""In which order unmerges were made, and which moved a row."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE unmerge ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY")
    op.execute("COMMENT ON COLUMN unmerge.n IS 'of two that move one row the later has the greater'")
    op.execute("CREATE INDEX unmerge_into ON unmerge (into_id)")
    op.execute("CREATE INDEX moved_row ON moved (q, seq)")


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
