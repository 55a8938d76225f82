"""What text messages cost, by day and country."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE sms_spend (
            day     date NOT NULL,
            country text NOT NULL,
            parts   bigint NOT NULL,
            cost    numeric NOT NULL,
            PRIMARY KEY (day, country)
        )"""
    )
    op.execute("COMMENT ON COLUMN sms_spend.country IS 'ISO 3166 letters, ZZ when not known; empty: all together'")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not downgraded: restore a backup instead")
