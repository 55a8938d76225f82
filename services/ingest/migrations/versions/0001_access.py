"""Sources with their write keys, admin tokens, and the audit log."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE source (
        name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
        kind text NOT NULL CHECK (kind IN ('public', 'server')),
        origins text[] NOT NULL DEFAULT '{}',
        origins_required boolean NOT NULL DEFAULT false,
        rate double precision CHECK (rate > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        disabled_at timestamptz
    )
    """,
    "COMMENT ON COLUMN source.rate IS 'events per second; null for the default of its kind'",
    """
    CREATE TABLE write_key (
        id text PRIMARY KEY,
        sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
        prefix text NOT NULL,
        source text NOT NULL REFERENCES source (name),
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX ON write_key (source)",
    """
    CREATE TABLE admin_token (
        id text PRIMARY KEY,
        name text NOT NULL,
        sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
        prefix text NOT NULL,
        scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
    )
    """,
    """
    CREATE TABLE audit (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        act text NOT NULL,
        actor_id text NOT NULL,
        actor_name text NOT NULL,
        address text NOT NULL,
        service text NOT NULL,
        method text NOT NULL,
        route text NOT NULL,
        target jsonb NOT NULL,
        request_id text,
        status integer,
        duration_ms bigint
    )
    """,
    "COMMENT ON COLUMN audit.status IS 'null in the row before an act, the answer in the one after it'",
    "CREATE INDEX ON audit (actor_id, seq)",
    "CREATE INDEX ON audit (act)",
)

NOTICES = (
    """
    CREATE FUNCTION notice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('headrace_access', TG_TABLE_NAME);
        RETURN NULL;
    END $$
    """,
    # not of last_used_at, which changes all the time
    "CREATE TRIGGER changed AFTER INSERT OR DELETE OR UPDATE OF kind, origins, origins_required, rate, "
    "disabled_at ON source FOR EACH STATEMENT EXECUTE FUNCTION notice()",
    "CREATE TRIGGER changed AFTER INSERT OR DELETE OR UPDATE OF expires_at, revoked_at "
    "ON write_key FOR EACH STATEMENT EXECUTE FUNCTION notice()",
    "CREATE TRIGGER changed AFTER INSERT OR DELETE OR UPDATE OF name, scopes, expires_at, revoked_at "
    "ON admin_token FOR EACH STATEMENT EXECUTE FUNCTION notice()",
)

APPEND_ONLY = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP USING ERRCODE = 'HA001';
    END $$
    """,
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
)

CONTRACT = (
    "CREATE VIEW token_v1 AS "
    "SELECT id, name, sha256, scopes, expires_at FROM admin_token WHERE revoked_at IS NULL",
    """
    CREATE FUNCTION audit_v1(
        act text, actor_id text, actor_name text, address text, service text, method text, route text,
        target jsonb, request_id text, status integer, duration_ms bigint
    ) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = access, pg_temp AS $$
        INSERT INTO access.audit (
            act, actor_id, actor_name, address, service, method, route, target, request_id, status, duration_ms
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    $$
    """,
    """
    CREATE FUNCTION tokens_used_v1(ids text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = access, pg_temp AS $$
        UPDATE access.admin_token SET last_used_at = now() WHERE id = ANY ($1)
    $$
    """,
)


def upgrade() -> None:
    for statement in (*TABLES, *NOTICES, *APPEND_ONLY, *CONTRACT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the audit log is never taken back; restore a backup instead")
