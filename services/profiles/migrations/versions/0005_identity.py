"""Who vouches for an identifier, and whether it still says who somebody is."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE identifier ADD COLUMN trusted boolean NOT NULL DEFAULT false,
    ADD COLUMN quarantined_at bigint, ADD COLUMN taken_apart boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN identifier.trusted IS 'a key that is not public said so';
COMMENT ON COLUMN identifier.quarantined_at IS 'since when it leads to nobody; null: it does';
COMMENT ON COLUMN identifier.taken_apart IS 'false: what only it held together is still one profile';
CREATE INDEX identifier_quarantined ON identifier (type, value) WHERE quarantined_at IS NOT NULL;
CREATE INDEX identifier_to_take_apart ON identifier (type, value) WHERE NOT taken_apart;
CREATE TABLE suspicion (
    type text, value text, partner_type text, partner bigint,
    at bigint NOT NULL,
    refused boolean NOT NULL,
    PRIMARY KEY (type, value, partner_type, partner)
);
COMMENT ON TABLE suspicion IS 'further identifiers (partner: a hash) that one led to, or was kept from';
ALTER TABLE decision ADD COLUMN once text;
CREATE UNIQUE INDEX decision_once ON decision (once) WHERE once IS NOT NULL;
COMMENT ON COLUMN decision.once IS 'of a decision that is made again with every event, and written once';
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
