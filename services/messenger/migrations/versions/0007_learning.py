"""What splits were decided, and finding the journeys that took part in one."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DECISIONS = """
CREATE TABLE split_decision (
    campaign_id text NOT NULL,
    path        text NOT NULL,
    split       text NOT NULL,
    place       text[] NOT NULL,
    first_at    bigint NOT NULL,
    due_at      bigint NOT NULL,
    decided_at  bigint,
    variant     text,
    stats       jsonb,
    PRIMARY KEY (campaign_id, path, split)
);
COMMENT ON COLUMN split_decision.split IS
    'md5 of the split as defined: one that is changed is decided anew, by those who went through the changed one';
COMMENT ON COLUMN split_decision.place IS 'where the split stands in a campaign''s body';
COMMENT ON COLUMN split_decision.first_at IS 'when the first journey was seen to have gone through it';
COMMENT ON COLUMN split_decision.variant IS 'what all who come later take; NULL once decided: the weights stay';
CREATE INDEX split_decision_due ON split_decision (due_at) WHERE decided_at IS NULL;
CREATE INDEX entry_ways ON entry (campaign_id) WHERE variants <> '{}';
"""


def upgrade() -> None:
    for statement in _DECISIONS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
