"""When each tag changed, and which requests changed tags."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE profile ADD COLUMN tag_times jsonb NOT NULL DEFAULT '{}'")
    op.execute("COMMENT ON COLUMN profile.tag_times IS 'of the last change of each tag, those taken off included'")
    op.execute(
        "CREATE TABLE tag_request "
        "(id text PRIMARY KEY, body_hash bigint NOT NULL, answer jsonb NOT NULL DEFAULT '{}')"
    )


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
