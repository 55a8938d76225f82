"""An entry becomes a journey: where it stands, when it goes on, how it ended; messages know their place in it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DEFINITIONS = """
ALTER TABLE definition DROP CONSTRAINT definition_kind_check;
ALTER TABLE definition ADD CONSTRAINT definition_kind_check
    CHECK (kind IN ('campaign', 'template', 'block', 'policy', 'vouchers'));
ALTER TABLE definition ADD COLUMN events text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN definition.events IS 'names of the events that a campaign listens to, in its current version';
"""

_JOURNEYS = """
ALTER TABLE entry ALTER COLUMN segment_id DROP NOT NULL;
ALTER TABLE entry ALTER COLUMN segment_name DROP NOT NULL;
ALTER TABLE entry
    ADD COLUMN trigger    text NOT NULL DEFAULT 'segment'
        CHECK (trigger IN ('segment', 'event', 'schedule', 'direct')),
    ADD COLUMN key        text,
    ADD COLUMN event      jsonb,
    ADD COLUMN row_seq    bigint,
    ADD COLUMN status     text NOT NULL DEFAULT 'done'
        CHECK (status IN ('active', 'done', 'exited', 'converted', 'holdout', 'refused', 'cancelled')),
    ADD COLUMN reason     text,
    ADD COLUMN step       text,
    ADD COLUMN due_at     bigint,
    ADD COLUMN attempt    integer NOT NULL DEFAULT 0,
    ADD COLUMN variants   jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN voucher    jsonb,
    ADD COLUMN ended_at   bigint,
    ADD COLUMN goal_until bigint,
    ADD COLUMN goals      integer NOT NULL DEFAULT 0,
    ADD COLUMN goal_messages text[] NOT NULL DEFAULT '{}',
    ADD COLUMN converted_at bigint,
    ADD COLUMN revenue    numeric,
    ADD COLUMN currency   text,
    ADD COLUMN orders     integer NOT NULL DEFAULT 0,
    ADD COLUMN erased_at  bigint;
COMMENT ON COLUMN entry.profile_id IS 'as decided; profiles.alias_v1 says whose it is now';
COMMENT ON COLUMN entry.status IS
    'active: has steps before it. holdout: measured, never messaged. refused: never began, reason says why.';
COMMENT ON COLUMN entry.step IS 'path of the step to do next, or of the message that is waited for';
COMMENT ON COLUMN entry.due_at IS 'when to go on; NULL while a message is waited for, and after the end';
COMMENT ON COLUMN entry.row_seq IS 'of an event trigger: the number of its row in cdp.profile-events';
CREATE INDEX entry_due ON entry (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX entry_profile ON entry (profile_id, campaign_id, entered_at);
CREATE INDEX entry_open_goal ON entry (profile_id) WHERE goal_until IS NOT NULL;
CREATE INDEX entry_campaign ON entry (campaign_id, entered_at);
"""

_MESSAGES = """
ALTER TABLE message DROP CONSTRAINT message_campaign_id_entry_id_fkey;
ALTER TABLE message ADD CONSTRAINT message_entry
    FOREIGN KEY (campaign_id, entry_id) REFERENCES entry (campaign_id, entry_id);
ALTER TABLE message ALTER COLUMN template_id DROP NOT NULL;
ALTER TABLE message
    ADD COLUMN purpose      text NOT NULL DEFAULT 'marketing',
    ADD COLUMN priority     integer NOT NULL DEFAULT 0,
    ADD COLUMN channels     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN alternative  integer NOT NULL DEFAULT 0,
    ADD COLUMN continues    boolean NOT NULL DEFAULT false,
    ADD COLUMN cascaded     boolean NOT NULL DEFAULT false,
    ADD COLUMN ready_at     bigint,
    ADD COLUMN country      text,
    ADD COLUMN locale       text,
    ADD COLUMN parts        integer,
    ADD COLUMN cost         numeric,
    ADD COLUMN missing      text[] NOT NULL DEFAULT '{}',
    ADD COLUMN links        text[] NOT NULL DEFAULT '{}',
    ADD COLUMN delivered_at bigint,
    ADD COLUMN opened_at    bigint,
    ADD COLUMN machine_opened_at bigint,
    ADD COLUMN clicked_at   bigint,
    ADD COLUMN unsubscribed_at bigint,
    ADD COLUMN complained_at bigint;
COMMENT ON COLUMN message.channels IS 'the channels of its step in the order in which they are tried';
COMMENT ON COLUMN message.alternative IS 'which of channels this is; the one after it is a message of its own';
COMMENT ON COLUMN message.continues IS 'the journey goes on when this message is settled';
COMMENT ON COLUMN message.cascaded IS 'the provider itself goes on to the next channel';
COMMENT ON COLUMN message.ready_at IS 'when its step was due: lateness counts from here, not from a deferral';
COMMENT ON COLUMN message.opened_at IS 'by a person, as far as one can tell; machine_opened_at by a mail proxy';
UPDATE message SET ready_at = created_at, channels = ARRAY[channel];
ALTER TABLE message ALTER COLUMN ready_at SET NOT NULL;
DROP INDEX message_due;
CREATE INDEX message_due ON message (channel, due_at) WHERE status = 'pending';
CREATE INDEX message_entry ON message (campaign_id, entry_id);
CREATE INDEX message_provider_id ON message (provider_message_id) WHERE provider_message_id IS NOT NULL;
CREATE INDEX message_address ON message (address_hash, claimed_at) WHERE address_hash IS NOT NULL;
"""
_RUNS = """
CREATE TABLE campaign_run (
    campaign_id text NOT NULL,
    run_at      bigint NOT NULL,
    version     integer NOT NULL,
    current     boolean NOT NULL DEFAULT false,
    cursor      text,
    entered     integer NOT NULL DEFAULT 0,
    begun_at    bigint NOT NULL,
    ended_at    bigint,
    error       text,
    PRIMARY KEY (campaign_id, run_at)
);
COMMENT ON COLUMN campaign_run.current IS 'over those who were in the segment when the campaign was published';
CREATE INDEX campaign_run_open ON campaign_run (begun_at) WHERE ended_at IS NULL;
"""


def upgrade() -> None:
    for script in (_DEFINITIONS, _JOURNEYS, _MESSAGES, _RUNS):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
