"""Computed traits: their versions and where their topic was read to. Search by names and by traits."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = (
    "ALTER TABLE profile ADD COLUMN computed_at jsonb NOT NULL DEFAULT '{}'",
    "COMMENT ON COLUMN profile.computed_at IS "
    "'of every computed trait that ever was, [epoch, sequence] of the record that holds'",
    "CREATE TABLE side_input (topic text, q int, next_offset bigint NOT NULL DEFAULT 0, PRIMARY KEY (topic, q)) "
    "WITH (fillfactor = 50)",
    "COMMENT ON TABLE side_input IS 'inputs that write no rows and so are no part of time'",
)

# Letters that are none with a mark; lower() of the collation "C" knows ASCII only.
_UPPER = "ŁØĐÐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄІҐЂЈЉЊЋЏ"
_LOWER = "loddαβγδεζηθικλμνξοπρστυφχψωабвгдежзийклмнопрстуфхцчшщъыьэюяєіґђјљњћџ"


def _key(name: str) -> str:
    """SQL of a name without case, accents and superfluous space. It must not depend on the server's collation, nor
    on the search path: an index holds it."""
    plain = rf"""lower(regexp_replace(normalize({name}, NFKD), '[\u0300-\u036f]', '', 'g') COLLATE "C")"""
    plain = f"translate({plain}, '{_UPPER}łøđðς', '{_LOWER}loddσ')"
    for letter, letters in (("ß", "ss"), ("æ", "ae"), ("Æ", "ae"), ("œ", "oe"), ("Œ", "oe")):
        plain = f"replace({plain}, '{letter}', '{letters}')"
    return rf"left(btrim(regexp_replace({plain}, '\s+', ' ', 'g')), 100)"


def _function(name: str, argument: str, expression: str) -> str:
    """Of one expression, so that Postgres writes it out in place."""
    return (
        f"CREATE FUNCTION {name}({argument}) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE "
        f"AS $$ SELECT {expression} $$"
    )


_FIRST = "coalesce($1 ->> 'firstName', $1 ->> 'first_name')"
_LAST = "coalesce($1 ->> 'lastName', $1 ->> 'last_name')"
_TURNED = r"regexp_replace($1 ->> 'name', '^\s*(.*\S)\s+(\S+)\s*$', '\2 \1')"
_FUNCTIONS = (
    _function("search_key", "text", _key("$1")),
    _function(
        "profile_name", "jsonb", _key(f"coalesce(nullif(concat_ws(' ', {_FIRST}, {_LAST}), ''), $1 ->> 'name')")
    ),
    _function(
        "profile_surname", "jsonb", _key(f"coalesce(nullif(concat_ws(' ', {_LAST}, {_FIRST}), ''), {_TURNED})")
    ),
)
# The traits with where the profile's id begins, so that of a frequent value a part is found, in the order of ids.
# No trait that is searched is called "".
_DOCUMENT = (
    "CREATE FUNCTION search_document(text, jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE "
    """AS $$ SELECT $2 || ('{"":"' || translate(left($1, 3), '"\\', '__') || '"}')::jsonb $$"""
)

_LIVE = "merged_into IS NULL AND NOT erased"
_NAMED = f"{_LIVE} AND traits ?| '{{firstName,first_name,lastName,last_name,name}}'::text[]"
_INDEXES = (
    *(
        f'CREATE INDEX {name} ON profile ({name}(traits) COLLATE "C", id COLLATE "C") WHERE {_NAMED}'
        for name in ("profile_name", "profile_surname")
    ),
    # a search reads what waits to be sorted in: not too much of it
    "CREATE INDEX profile_traits ON profile USING gin (search_document(id, traits) jsonb_path_ops) "
    f"WITH (gin_pending_list_limit = 512) WHERE {_LIVE} AND traits <> '{{}}'",
)


def upgrade() -> None:
    for statement in (*_TABLES, *_FUNCTIONS, _DOCUMENT, *_INDEXES):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("the timeline is never taken back; restore a backup instead")
