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
    op.execute(
        "CREATE VIEW moved_to_v1 AS SELECT DISTINCT ON (moved.q, moved.seq) moved.q AS partition, moved.seq, "
        "unmerge.into_id AS profile_id FROM moved JOIN unmerge ON unmerge.id = moved.unmerge_id "
        "ORDER BY moved.q, moved.seq, unmerge.n DESC"
    )
    op.execute("COMMENT ON VIEW moved_to_v1 IS 'whose a row became by the last unmerge that moved it'")


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
