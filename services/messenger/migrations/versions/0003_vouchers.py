"""Voucher codes: free, given to customers, redeemed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CODES = """
CREATE TABLE voucher_code (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pool_id     text NOT NULL,
    code        text NOT NULL,
    shared      boolean NOT NULL DEFAULT false,
    profile_id  text,
    campaign_id text,
    entry_id    text,
    step        text,
    created_at  bigint NOT NULL,
    assigned_at bigint,
    expires_at  bigint,
    redeemed_at bigint,
    redeemed    text CHECK (redeemed IN ('in_time', 'late', 'by_another')),
    order_id    text
);
COMMENT ON COLUMN voucher_code.shared IS 'of a pool with one code for all: a row for each customer who got it';
CREATE TABLE voucher_pool (
    pool_id text PRIMARY KEY,
    made    bigint,
    low_at  bigint
);
COMMENT ON COLUMN voucher_pool.made IS 'codes there are, of a pool that makes at most so many; NULL: count them';
COMMENT ON COLUMN voucher_pool.low_at IS 'since when few are left and the log has said so';
CREATE UNIQUE INDEX voucher_code_once ON voucher_code (pool_id, upper(code)) WHERE NOT shared;
CREATE UNIQUE INDEX voucher_code_wish ON voucher_code (campaign_id, entry_id, step) WHERE entry_id IS NOT NULL;
CREATE INDEX voucher_code_free ON voucher_code (pool_id, id) WHERE assigned_at IS NULL;
CREATE INDEX voucher_code_open ON voucher_code (upper(code)) WHERE assigned_at IS NOT NULL AND redeemed_at IS NULL;
CREATE INDEX voucher_code_profile ON voucher_code (profile_id) WHERE profile_id IS NOT NULL;
"""


def upgrade() -> None:
    for statement in _CODES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
