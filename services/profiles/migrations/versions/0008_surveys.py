"""Surveys, and what customers answered found without reading their whole timeline."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE survey (
    id text PRIMARY KEY,
    version int NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    updated_at bigint NOT NULL
);
CREATE TABLE survey_version (
    id text, version int,
    body jsonb NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (id, version)
);
COMMENT ON TABLE survey_version IS 'every version is kept: answers name the one they were given to';
CREATE INDEX timeline_surveys ON timeline (profile_id, time)
    WHERE event IN ('Survey Answered', 'Survey Question Skipped', 'Survey Question Asked');
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
