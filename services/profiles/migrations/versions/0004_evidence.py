"""What an unmerge needs: each event's identifiers and words, which rows moved, why profiles are one or not."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE timeline ADD COLUMN identifiers text, ADD COLUMN stated text;
COMMENT ON COLUMN timeline.identifiers IS 'of the event itself: [[type, value], …], strongest first';
COMMENT ON COLUMN timeline.stated IS 'what the event says of traits, consents and tags, changed or not';
CREATE TABLE unmerge (
    id text PRIMARY KEY,
    profile_id text NOT NULL,
    into_id text NOT NULL,
    request text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX unmerge_request ON unmerge (request);
COMMENT ON TABLE unmerge IS 'one row for each profile that was made; a request may make several';
CREATE TABLE moved (
    unmerge_id text, q int, seq bigint,
    PRIMARY KEY (unmerge_id, q, seq)
);
COMMENT ON TABLE moved IS 'rows of the timeline that unmerge_id took out of one history and into another';
CREATE TABLE apart (
    type text, value text, unmerge_id text, side smallint,
    PRIMARY KEY (type, value, unmerge_id, side)
);
COMMENT ON TABLE apart IS 'identifiers of the two sides of an unmerge (0 stayed, 1 left): no evidence for a merge';
CREATE TABLE decision (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('merged', 'kept_apart', 'quarantined', 'released', 'unmerged')),
    profile_id text NOT NULL,
    other_id text,
    reason text NOT NULL,
    source text,
    message_id text,
    evidence jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX decision_profile ON decision (profile_id);
CREATE INDEX decision_other ON decision (other_id);
COMMENT ON TABLE decision IS 'why profiles became one, or did not, and by which event';
CREATE VIEW moved_v1 AS SELECT unmerge_id, q AS partition, seq FROM moved;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
