"""Definitions, the ledger of messages, its outbox, and the positions of the inputs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DEFINITIONS = """
CREATE TABLE definition (
    kind            text NOT NULL CHECK (kind IN ('campaign', 'template')),
    id              text NOT NULL,
    version         integer NOT NULL,
    state           text NOT NULL CHECK (state IN ('live', 'draft', 'paused', 'deleted')),
    trigger_segment text,
    updated_at      bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX definition_trigger ON definition (trigger_segment) WHERE state = 'live';

CREATE TABLE definition_version (
    kind       text NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    body       jsonb NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (kind, id, version),
    FOREIGN KEY (kind, id) REFERENCES definition
);
"""

_LEDGER = """
CREATE TABLE entry (
    campaign_id      text NOT NULL,
    entry_id         text NOT NULL,
    campaign_version integer NOT NULL,
    profile_id       text NOT NULL,
    segment_id       text NOT NULL,
    segment_name     text NOT NULL,
    computed         jsonb NOT NULL,
    traceparent      text,
    entered_at       bigint NOT NULL,
    created_at       bigint NOT NULL,
    PRIMARY KEY (campaign_id, entry_id)
);
COMMENT ON COLUMN entry.profile_id IS 'as decided; message.profile_id follows merges';

CREATE TABLE message (
    id                  text PRIMARY KEY,
    campaign_id         text NOT NULL,
    entry_id            text NOT NULL,
    step                text NOT NULL,
    campaign_version    integer NOT NULL,
    profile_id          text NOT NULL,
    channel             text NOT NULL,
    template_id         text NOT NULL,
    template_version    integer,
    status              text NOT NULL CHECK (status IN
        ('pending', 'claimed', 'accepted', 'delivered', 'failed', 'bounced', 'skipped', 'unknown')),
    reason              text,
    attempt             integer NOT NULL DEFAULT 0,
    due_at              bigint NOT NULL,
    created_at          bigint NOT NULL,
    claimed_at          bigint,
    settled_at          bigint,
    provider            text,
    provider_message_id text,
    address             text,
    address_hash        text,
    subject             text,
    text                text,
    html                text,
    erased_at           bigint,
    FOREIGN KEY (campaign_id, entry_id) REFERENCES entry
);
CREATE INDEX message_due ON message (due_at) WHERE status = 'pending';
CREATE INDEX message_claimed ON message (claimed_at) WHERE status = 'claimed';
CREATE INDEX message_profile ON message (profile_id, created_at);
CREATE INDEX message_campaign ON message (campaign_id, created_at, id);
CREATE INDEX message_created ON message (created_at, id);

CREATE TABLE suppression (
    channel      text NOT NULL,
    address_hash text NOT NULL,
    reason       text NOT NULL,
    at           bigint NOT NULL,
    occurrence   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, address_hash, reason)
);
"""

_STREAMS = """
CREATE TABLE store (
    id         boolean PRIMARY KEY DEFAULT true CHECK (id),
    epoch      integer NOT NULL,
    partitions integer NOT NULL
);

CREATE TABLE signing_key (
    id     integer PRIMARY KEY,
    secret bytea NOT NULL
);

CREATE TABLE input_position (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    epoch       integer NOT NULL,
    seq         bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE outcome_counter (
    partition integer PRIMARY KEY,
    last_seq  bigint NOT NULL
);

CREATE TABLE outcome (
    partition   integer NOT NULL,
    seq         bigint NOT NULL,
    id          text NOT NULL UNIQUE,
    profile_id  text NOT NULL,
    outcome     text NOT NULL,
    payload     text NOT NULL,
    traceparent text,
    created_at  bigint NOT NULL,
    PRIMARY KEY (partition, seq)
);

CREATE TABLE outcome_published (
    partition   integer PRIMARY KEY,
    epoch       integer NOT NULL,
    seq         bigint NOT NULL,
    position    text NOT NULL,
    next_offset bigint NOT NULL
);
"""


def upgrade() -> None:
    for script in (_DEFINITIONS, _LEDGER, _STREAMS):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
