"""Webhook subscriptions, and each change on its way to each of them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE subscription (
        id              text PRIMARY KEY,
        url             text NOT NULL,
        segments        text[],
        actions         text[] NOT NULL,
        secret          text NOT NULL,
        old_secret      text,
        old_secret_ends bigint,
        enabled         boolean NOT NULL,
        disabled_reason text CHECK (disabled_reason IN ('gone', 'failing', 'exhausted')),
        active          boolean NOT NULL GENERATED ALWAYS AS (enabled AND disabled_reason IS NULL) STORED,
        failing_since   bigint,
        exhausted       integer NOT NULL DEFAULT 0,
        created_at      bigint NOT NULL,
        updated_at      bigint NOT NULL
    )
    """,
    "COMMENT ON COLUMN subscription.segments IS 'null: all'",
    "COMMENT ON COLUMN subscription.enabled IS 'as the operator wants it; disabled_reason is our own doing'",
    """
    CREATE TABLE delivery (
        id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subscription_id text NOT NULL REFERENCES subscription ON DELETE CASCADE,
        message_id      text NOT NULL,
        profile_id      text NOT NULL,
        segment_id      text NOT NULL,
        action          text NOT NULL,
        body            bytea NOT NULL,
        status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
        attempt         integer NOT NULL DEFAULT 0,
        claim           integer NOT NULL DEFAULT 0,
        claimed         boolean NOT NULL DEFAULT false,
        due_at          bigint NOT NULL,
        created_at      bigint NOT NULL,
        attempted_at    bigint,
        settled_at      bigint,
        response_status integer,
        reason          text,
        excerpt         text,
        UNIQUE (subscription_id, message_id)
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN delivery.claim IS 'rises with each claim: tells one from an earlier one'",
    "COMMENT ON COLUMN delivery.due_at IS 'while claimed: when the claim ends by itself'",
    "CREATE INDEX delivery_due ON delivery (subscription_id, due_at, id) WHERE status = 'pending'",
    "CREATE INDEX delivery_waiting ON delivery (subscription_id, profile_id, id) WHERE status = 'pending'",
    "CREATE INDEX delivery_listed ON delivery (subscription_id, status, id)",
    "CREATE INDEX delivery_attempted ON delivery (subscription_id, attempted_at) WHERE attempted_at IS NOT NULL",
    "CREATE INDEX delivery_settled ON delivery (status, settled_at) WHERE status <> 'pending'",
    "CREATE INDEX delivery_profile ON delivery (profile_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("subscriptions are never taken back; restore a backup instead")
