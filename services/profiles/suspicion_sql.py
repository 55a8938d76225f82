"""Keeps what is said against identifiers and marks those that are shared, inside `batch.py`'s transaction.

The owner's lock covers its identifiers' notes. What is marked is taken apart afterwards (`quarantine.py`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from headrace.contracts.instant import Millis
from services.profiles.arrays import number_array, text_array
from services.profiles.decisions import Decision
from services.profiles.identity import Identifier
from services.profiles.identity_rules import IdentityRules
from services.profiles.intake import fingerprint
from services.profiles.store import Connection
from services.profiles.suspicion import Note, Suspicion, is_shared

_WRITE = """
    INSERT INTO suspicion (type, value, partner_type, partner, at, refused)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[],
                         $5::text::bigint[], $6::text::boolean[]) AS new (type, value, partner_type, partner)
    ORDER BY type, value, partner_type, partner
    ON CONFLICT (type, value, partner_type, partner) DO UPDATE SET refused = suspicion.refused OR excluded.refused
"""
_READ = """
    SELECT type, value, partner_type, at, refused FROM suspicion
    WHERE (type, value) IN (SELECT * FROM unnest($1::text::text[], $2::text::text[]))
"""
_MARK = """
    UPDATE identifier SET quarantined_at = new.at, taken_apart = false
    FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[]) AS new (type, value, at)
    WHERE (identifier.type, identifier.value) = (new.type, new.value) AND quarantined_at IS NULL
    RETURNING identifier.type, identifier.value, identifier.profile_id, identifier.quarantined_at
"""


async def quarantine(
    connection: Connection, said: Iterable[Suspicion], rules: IdentityRules
) -> Sequence[Decision]:
    """Keep what was said; put into quarantine whatever has too much against it."""
    noted = _notes(said)
    if not noted:
        return ()
    await _write(connection, noted)
    links = {link: one.at for (link, _, _), one in noted.items()}
    types, values = zip(*links, strict=True)
    against: dict[Identifier, list[Note]] = defaultdict(list)
    for kind, value, *note in await connection.fetch(_READ, text_array(types), text_array(values)):
        against[kind, value].append(Note(*note))
    shared = {link: at for link, at in links.items() if is_shared(against[link], rules.quarantine)}
    return await _mark(connection, shared) if shared else ()


def _notes(said: Iterable[Suspicion]) -> dict[tuple[Identifier, str, int], Suspicion]:
    """One for each pair; that it was refused weighs more."""
    found: dict[tuple[Identifier, str, int], Suspicion] = {}
    for one in said:
        kind, value = one.other
        key = one.link, kind, fingerprint(value.encode("utf-8", "surrogatepass"))
        known = found.get(key)
        if known is None or one.refused > known.refused:
            found[key] = one
    return found


async def _write(connection: Connection, noted: dict[tuple[Identifier, str, int], Suspicion]) -> None:
    links, kinds, partners = zip(*noted, strict=True)
    types, values = zip(*links, strict=True)
    await connection.execute(
        _WRITE,
        text_array(types),
        text_array(values),
        text_array(kinds),
        number_array(partners),
        number_array(one.at for one in noted.values()),
        number_array(one.refused for one in noted.values()),
    )


async def _mark(connection: Connection, shared: dict[Identifier, Millis]) -> Sequence[Decision]:
    types, values = zip(*shared, strict=True)
    rows = await connection.fetch(_MARK, text_array(types), text_array(values), number_array(shared.values()))
    return [
        Decision(at, "quarantined", owner, None, "shared", evidence={"identifiers": [[kind, value]]})
        for kind, value, owner, at in rows
    ]
