"""What a customer has a right to: proof of consent, not to be known, to be forgotten; and who asked for it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE consent_record (
    q int, seq bigint, channel text, purpose text,
    profile_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('granted', 'withdrawn')),
    at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    source text NOT NULL,
    wording text,
    proof text,
    PRIMARY KEY (q, seq, channel, purpose)
);
CREATE INDEX consent_record_profile ON consent_record (profile_id);
COMMENT ON TABLE consent_record IS 'every declaration, by the row of the timeline that made it; never changed';
COMMENT ON COLUMN consent_record.at IS 'when it counts; recorded_at: when we heard of it';
CREATE TABLE suppressed (
    hash bytea PRIMARY KEY,
    at bigint NOT NULL,
    profile_id text
);
CREATE INDEX suppressed_profile ON suppressed (profile_id) WHERE profile_id IS NOT NULL;
COMMENT ON TABLE suppressed IS 'keyed hashes of identifiers of which nothing is collected';
COMMENT ON COLUMN suppressed.profile_id IS 'whose record is kept; null: the person was erased';
CREATE TABLE suppression_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea,
    fingerprint bytea NOT NULL
);
COMMENT ON COLUMN suppression_key.secret IS 'null: it is a setting, and stands nowhere here';
ALTER TABLE input ADD COLUMN suppressing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN input.suppressing IS 'something may stand in suppressed: whoever reads this input looks there';
CREATE TABLE erasure (
    profile_id text PRIMARY KEY,
    at bigint NOT NULL,
    identifiers jsonb NOT NULL DEFAULT '[]',
    redacted_at bigint
);
CREATE INDEX erasure_waiting ON erasure (at) WHERE redacted_at IS NULL;
COMMENT ON COLUMN erasure.identifiers IS 'by which dead letters are found; taken out when that is done';
INSERT INTO erasure (profile_id, at) SELECT profile_id, max(time) FROM timeline WHERE kind = 'erasure' GROUP BY 1;
CREATE TABLE redacted (
    q int PRIMARY KEY,
    epoch int NOT NULL,
    seq bigint NOT NULL,
    counted_seq bigint NOT NULL,
    transitions bigint NOT NULL,
    computed bigint NOT NULL
);
COMMENT ON COLUMN redacted.seq IS 'rows up to here may say less than they did';
COMMENT ON COLUMN redacted.counted_seq IS 'after this row the segmenter had counted so much';
CREATE TABLE faded (
    q int PRIMARY KEY,
    seq bigint NOT NULL
);
COMMENT ON TABLE faded IS 'up to which row events have lost what they said, for their age';
CREATE TABLE audit (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    profile_id text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_profile ON audit (profile_id, n);
COMMENT ON TABLE audit IS 'who asked for what about whom; no personal data';
CREATE VIEW suppressed_v1 AS SELECT profile_id FROM suppressed WHERE profile_id IS NOT NULL;
CREATE VIEW redacted_v1 AS SELECT q AS partition, epoch, seq, counted_seq, transitions, computed FROM redacted;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
