"""A restored database: since when, where the outputs stood, and who has to be erased again."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE deployment ADD COLUMN restored_at bigint, ADD COLUMN erasures_read boolean NOT NULL DEFAULT true",
    "COMMENT ON COLUMN deployment.restored_at IS 'when `headrace restored` was run last; NULL: never'",
    "COMMENT ON COLUMN deployment.erasures_read IS 'whether the log was searched for erasures since the backup'",
    """CREATE TABLE restored_counter (
        q           int PRIMARY KEY,
        epoch       int NOT NULL,
        next_seq    bigint NOT NULL,
        next_offset bigint NOT NULL
    )""",
    "COMMENT ON TABLE restored_counter IS 'the counters as the backup had them'",
    """CREATE TABLE erase_again (
        profile_id text PRIMARY KEY,
        done_at    bigint
    )""",
    "COMMENT ON TABLE erase_again IS 'people who were erased after the backup that was restored'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is not downgraded: restore a backup instead")
