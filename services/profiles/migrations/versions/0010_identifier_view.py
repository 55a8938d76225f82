"""Whose an identifier is, for services that meet one from outside (an answer by text message)."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE VIEW identifier_v1 AS
            SELECT i.type, i.value, coalesce(a.root, i.profile_id) AS profile_id
            FROM identifier i LEFT JOIN alias a ON a.profile_id = i.profile_id
            JOIN profile p ON p.id = coalesce(a.root, i.profile_id) AND p.merged_into IS NULL AND NOT p.erased"""
    )


def downgrade() -> None:
    raise NotImplementedError("the timeline is not downgraded: restore a backup instead")
