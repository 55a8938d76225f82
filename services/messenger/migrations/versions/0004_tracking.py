"""Which links of a message were followed, how often it was opened, and what customers chose on their page."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """CREATE TABLE click (
        message_id text NOT NULL REFERENCES message (id),
        link       integer NOT NULL,
        first_at   bigint NOT NULL,
        count      integer NOT NULL,
        PRIMARY KEY (message_id, link)
    )""",
    "COMMENT ON COLUMN click.link IS 'number of the link: message.links[link] is where it leads'",
    """ALTER TABLE message
        ADD COLUMN opens         integer NOT NULL DEFAULT 0,
        ADD COLUMN machine_opens integer NOT NULL DEFAULT 0""",
    "COMMENT ON COLUMN message.opens IS 'fetches of the pixel by people; machine_opens: by mail proxies'",
    """CREATE TABLE preference (
        profile_id    text PRIMARY KEY,
        communication jsonb NOT NULL,
        consents      jsonb NOT NULL,
        at            bigint NOT NULL,
        message_id    text NOT NULL
    )""",
    """COMMENT ON TABLE preference IS
        'what a customer chose, until the profile service has heard it: its timeline holds message_id then'""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
