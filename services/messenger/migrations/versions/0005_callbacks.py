"""Messages from customers, and messages whose text stands for itself."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INBOUND = """
CREATE TABLE inbound (
    id           text PRIMARY KEY,
    channel      text NOT NULL,
    provider     text NOT NULL,
    profile_id   text,
    address_hash text NOT NULL,
    address      text,
    text         text,
    keyword      text,
    at           bigint NOT NULL,
    answered_at  bigint
);
CREATE INDEX inbound_profile ON inbound (profile_id, at);
CREATE INDEX inbound_at ON inbound (at, id);
ALTER TABLE message ADD COLUMN literal text;
COMMENT ON COLUMN message.literal IS 'of a message without a template: its text';
"""


def upgrade() -> None:
    for statement in _INBOUND.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
