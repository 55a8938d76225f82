"""A restored database: since when, and what the log knows of messages that it has forgotten."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """ALTER TABLE store
        ADD COLUMN restored_at   bigint,
        ADD COLUMN restored_from integer,
        ADD COLUMN refilled      boolean NOT NULL DEFAULT true""",
    "COMMENT ON COLUMN store.restored_at IS 'when `headrace restored` was run last; NULL: never'",
    "COMMENT ON COLUMN store.restored_from IS 'the epoch that the backup was made in'",
    "COMMENT ON COLUMN store.refilled IS 'whether the ledger has read what it forgot; nothing is sent before'",
    "ALTER TABLE entry ADD COLUMN doubted boolean NOT NULL DEFAULT false, ADD COLUMN since bigint",
    """COMMENT ON COLUMN entry.doubted IS
        'its cause was known before the restore: what it led to until then may have been sent'""",
    "COMMENT ON COLUMN entry.since IS 'when its step was due, while due_at is when to ask again; else NULL'",
    """CREATE TABLE recovered (
        message_id          text PRIMARY KEY,
        status              text,
        reason              text,
        provider            text,
        provider_message_id text,
        sent_at             bigint,
        settled_at          bigint NOT NULL,
        delivered_at        bigint,
        opened_at           bigint,
        machine_opened_at   bigint,
        clicked_at          bigint,
        unsubscribed_at     bigint,
        complained_at       bigint,
        known               boolean NOT NULL DEFAULT false,
        applied_at          bigint
    )""",
    "COMMENT ON TABLE recovered IS 'what cdp.messages says of messages since the backup that was restored'",
    "COMMENT ON COLUMN recovered.known IS 'the backup had the message'",
    "CREATE INDEX recovered_known ON recovered (message_id) WHERE known AND applied_at IS NULL",
    "CREATE INDEX recovered_provider_id ON recovered (provider_message_id) WHERE applied_at IS NULL",
    """CREATE TABLE recovered_receipt (
        n          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id text NOT NULL,
        receipt    jsonb NOT NULL
    )""",
    "COMMENT ON TABLE recovered_receipt IS 'receipts for recovered messages that are not made again yet'",
    "CREATE INDEX recovered_receipt_message ON recovered_receipt (message_id)",
    """CREATE INDEX message_restored ON message (id) WHERE status = 'claimed' AND reason = 'restored'""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
