"""How far the segmenter has followed its own changes, and what they add up to: intervals, counts by the hour."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE follower (
        partition   integer PRIMARY KEY,
        epoch       integer NOT NULL,
        seq         bigint NOT NULL,
        next_offset bigint NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE membership_interval (
        number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        partition        integer NOT NULL,
        segment_id       text NOT NULL,
        profile_id       text NOT NULL,
        version          integer NOT NULL,
        entry_id         text NOT NULL,
        cause_message_id text,
        entered_at       bigint NOT NULL,
        entered_reason   text,
        exited_at        bigint,
        exited_reason    text
    )
    """,
    """
    COMMENT ON COLUMN membership_interval.entered_at IS
        'milliseconds since the epoch, included; 0: before the first change that was followed. exited_at: excluded'
    """,
    """
    CREATE UNIQUE INDEX membership_interval_open ON membership_interval (segment_id, profile_id)
        WHERE exited_at IS NULL
    """,
    "CREATE INDEX membership_interval_entered ON membership_interval (segment_id, entered_at, number)",
    """
    CREATE INDEX membership_interval_exited ON membership_interval (segment_id, exited_at)
        WHERE exited_at IS NOT NULL
    """,
    "CREATE INDEX membership_interval_profile ON membership_interval (profile_id, entered_at, number)",
    """
    CREATE TABLE membership_hour (
        segment_id text NOT NULL,
        hour       bigint NOT NULL,
        partition  integer NOT NULL,
        reason     text NOT NULL,
        entered    bigint NOT NULL,
        exited     bigint NOT NULL,
        PRIMARY KEY (segment_id, hour, partition, reason)
    ) WITH (fillfactor = 50)
    """,
    "COMMENT ON COLUMN membership_hour.hour IS 'its first millisecond since the epoch'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("history is never taken back; restore a backup instead")
