"""The timeline, the people it is about, and the positions of inputs and outputs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE deployment (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    partitions int NOT NULL,
    partitioner int NOT NULL
);
CREATE TABLE input (
    topic text, q int,
    next_offset bigint NOT NULL DEFAULT 0,
    time bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, q)
) WITH (fillfactor = 50);
COMMENT ON COLUMN input.time IS 'processed up to: running maximum of log times, or Postgres'' clock at its end';
CREATE TABLE counter (
    q int PRIMARY KEY,
    epoch int NOT NULL DEFAULT 1,
    next_seq bigint NOT NULL DEFAULT 1,
    time bigint NOT NULL DEFAULT 0,
    low bigint NOT NULL DEFAULT 0,
    published_seq bigint NOT NULL DEFAULT 0,
    published_offset bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE seen (
    source text, message_id text,
    body_hash bigint NOT NULL,
    PRIMARY KEY (source, message_id)
);
CREATE TABLE profile (
    id text PRIMARY KEY,
    user_id text,
    traits jsonb NOT NULL DEFAULT '{}',
    trait_times jsonb NOT NULL DEFAULT '{}',
    consents jsonb NOT NULL DEFAULT '{}',
    computed jsonb NOT NULL DEFAULT '{}',
    tags jsonb NOT NULL DEFAULT '[]',
    time_zone text,
    time_zone_at bigint NOT NULL DEFAULT 0,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    merged_into text,
    erased boolean NOT NULL DEFAULT false,
    CHECK (merged_into <> id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX profile_user_id ON profile (user_id) WHERE merged_into IS NULL AND NOT erased;
CREATE TABLE identifier (
    type text, value text,
    profile_id text REFERENCES profile (id),
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (type, value)
) WITH (fillfactor = 80);
CREATE INDEX identifier_profile ON identifier (profile_id);
CREATE INDEX identifier_prefix ON identifier (value text_pattern_ops);
CREATE TABLE alias (
    profile_id text PRIMARY KEY,
    root text NOT NULL,
    CHECK (profile_id <> root)
);
CREATE INDEX alias_root ON alias (root);
CREATE TABLE timeline (
    q int, seq bigint, epoch int NOT NULL,
    time bigint NOT NULL, low bigint NOT NULL,
    profile_id text NOT NULL,
    kind text NOT NULL,
    event text, ts bigint,
    source text, message_id text, traceparent text,
    payload text NOT NULL,
    PRIMARY KEY (q, seq)
);
CREATE INDEX timeline_profile ON timeline (profile_id, seq);
CREATE TABLE control (
    id text PRIMARY KEY,
    positions jsonb NOT NULL
);
"""

VIEWS = """
CREATE VIEW timeline_v1 AS
    SELECT q AS partition, seq, epoch, time, low, profile_id, kind, event, ts, source, message_id, payload
    FROM timeline;
CREATE VIEW alias_v1 AS SELECT profile_id, root FROM alias;
CREATE VIEW profile_v1 AS
    SELECT p.id, p.user_id, p.traits, p.consents, p.computed, p.tags,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('type', i.type, 'value', i.value)
                                   ORDER BY i.type, i.value), '[]')
         FROM identifier i
         WHERE i.profile_id IN (SELECT p.id UNION ALL SELECT a.profile_id FROM alias a WHERE a.root = p.id)
        ) AS identifiers,
        coalesce(p.traits ->> 'timezone', p.time_zone) AS time_zone,
        p.first_seen, p.last_seen
    FROM profile p
    WHERE p.merged_into IS NULL AND NOT p.erased;
"""


def upgrade() -> None:
    for statement in (TABLES + VIEWS).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
