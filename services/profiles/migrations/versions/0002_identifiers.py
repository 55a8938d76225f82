"""Identifiers are written once their owner is known, before the profiles they lead to."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # checked row by row it costs as much as the row; profiles are never deleted, and are written by whoever writes
    # the identifier
    op.execute("ALTER TABLE identifier DROP CONSTRAINT identifier_profile_id_fkey")
    op.execute("ALTER TABLE identifier ALTER COLUMN profile_id SET NOT NULL")
    # room in the page for the versions of a busy moment: an update that leaves its page writes to every index
    op.execute("ALTER TABLE identifier SET (fillfactor = 50)")
    op.execute("ALTER TABLE profile SET (fillfactor = 50)")


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
