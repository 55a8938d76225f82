"""The cut points of RFM scores, every version; and reading an event's JSON in SQL whatever it holds."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# jsonb takes no U+0000, no half of a surrogate pair and no number beyond numeric, all of which are JSON: a
# document with one is read with a stand-in in its place.
_STATEMENTS = (
    """
    CREATE TABLE cut_points (
        population_id text NOT NULL,
        version       integer NOT NULL,
        population    text NOT NULL,
        at            bigint NOT NULL,
        recency       bigint[] NOT NULL,
        frequency     bigint[] NOT NULL,
        monetary      text[] NOT NULL,
        computed_at   bigint NOT NULL,
        customers     bigint NOT NULL,
        cells         bigint[] NOT NULL,
        PRIMARY KEY (population_id, version)
    )
    """,
    "COMMENT ON COLUMN cut_points.population_id IS 'hash of population, which may be too long for an index'",
    """
    COMMENT ON COLUMN cut_points.computed_at IS
        'when they were last computed and still the same; customers and cells are of that instant'
    """,
    r"""
    CREATE FUNCTION as_document(payload text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN payload::jsonb;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        BEGIN
            RETURN regexp_replace(
                regexp_replace(payload, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g'),
                '-?[0-9]+([.][0-9]+)?[eE][-+]?0*[1-9][0-9]{3,}', 'null', 'g'
            )::jsonb;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            RETURN NULL;
        END;
    END
    $$
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("cut points are never taken back; restore a backup instead")
