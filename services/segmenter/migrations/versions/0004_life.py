"""The life of definitions: their kinds, versions that a deletion ended, how far partitions are with a version."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHANGES = (
    """
    ALTER TABLE segment_version
        ADD COLUMN kind text NOT NULL DEFAULT 'segment',
        ADD COLUMN gone boolean NOT NULL DEFAULT false
    """,
    "COMMENT ON COLUMN segment_version.gone IS 'the segment was deleted since'",
    "UPDATE segment_version SET kind = definition::json ->> 'kind' WHERE definition::json ->> 'kind' <> 'segment'",
    "UPDATE segment_version v SET gone = true FROM segment s WHERE s.id = v.id AND s.state = 'deleted'",
    "ALTER TABLE segment_version ALTER COLUMN kind DROP DEFAULT",
    """
    ALTER TABLE progress
        ADD COLUMN ready boolean NOT NULL DEFAULT true,
        ADD COLUMN done bigint NOT NULL DEFAULT 0,
        ADD COLUMN total bigint NOT NULL DEFAULT 0
    """,
    "COMMENT ON COLUMN progress.done IS 'customers recomputed, of total, until it is ready'",
    "ALTER TABLE progress ALTER COLUMN ready DROP DEFAULT",
)


def upgrade() -> None:
    for statement in _CHANGES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("definitions are never taken back; restore a backup instead")
