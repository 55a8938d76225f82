"""Identifiers that strangers share: what speaks for it is counted, and too much of it is quarantine (ADR 12)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from headrace.contracts.instant import Millis
from services.profiles.arrays import number_array, text_array
from services.profiles.decisions import Decision
from services.profiles.fold import Located
from services.profiles.identity import Identifier, suspicious
from services.profiles.identity_rules import IdentityRules
from services.profiles.intake import fingerprint
from services.profiles.store import Connection

_NOTE = """
    INSERT INTO suspicion (type, value, partner, at, refused)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::bigint[],
                         $5::text::boolean[]) AS new (type, value, partner)
    ORDER BY type, value, partner
    ON CONFLICT (type, value, partner) DO UPDATE SET refused = suspicion.refused OR excluded.refused
"""
_QUARANTINE = """
    UPDATE identifier SET quarantined_at = suspect.at, taken_apart = false
    FROM (
        SELECT suspicion.type, suspicion.value, wanted.at
        FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[]) AS wanted (type, value, at)
        JOIN suspicion ON (suspicion.type, suspicion.value) = (wanted.type, wanted.value)
        GROUP BY suspicion.type, suspicion.value, wanted.at
        HAVING count(*) FILTER (WHERE suspicion.refused) > $4
            OR count(*) FILTER (WHERE suspicion.at BETWEEN wanted.at - $5 AND wanted.at) > $4
    ) AS suspect
    WHERE (identifier.type, identifier.value) = (suspect.type, suspect.value) AND quarantined_at IS NULL
    RETURNING identifier.type, identifier.value, identifier.profile_id, identifier.quarantined_at
"""


class Suspicion(NamedTuple):
    """At `at`, `link` led to `other`, or (`refused`) was kept from it."""

    link: Identifier
    other: Identifier
    at: Millis
    refused: bool


def suspicions(located: Iterable[Located], rules: IdentityRules) -> Iterator[Suspicion]:
    """What a batch says against identifiers."""
    for one in located:
        if not one.brought and not one.refusals:
            continue
        at = one.arrival.incoming.ts
        for link, other in one.brought:
            yield Suspicion(link, other, at, refused=False)
        for refusal in one.refusals:
            if refusal.rule not in ("hard", "limit"):
                continue
            if suspicious(refusal.dropped, refusal.kept[0], rules):
                yield Suspicion(refusal.dropped, refusal.kept[0], at, refused=True)
            for kept in refusal.kept:
                if suspicious(kept, refusal.dropped, rules):
                    yield Suspicion(kept, refusal.dropped, at, refused=True)


async def quarantine(
    connection: Connection, noted: Iterable[Suspicion], rules: IdentityRules
) -> Sequence[Decision]:
    """Write what was noted; put into quarantine whatever has too much against it."""
    found: dict[tuple[Identifier, int], Suspicion] = {}
    for one in noted:
        key = one.link, fingerprint(*(part.encode("utf-8", "surrogatepass") for part in one.other))
        known = found.get(key)
        if known is None or one.refused > known.refused:
            found[key] = one
    if not found:
        return ()
    types, values = zip(*(link for link, _ in found), strict=True)
    await connection.execute(
        _NOTE,
        text_array(types),
        text_array(values),
        number_array(partner for _, partner in found),
        number_array(one.at for one in found.values()),
        number_array(one.refused for one in found.values()),
    )
    latest: dict[Identifier, Millis] = {}
    for one in found.values():
        latest[one.link] = max(one.at, latest.get(one.link, one.at))
    types, values = zip(*latest, strict=True)
    rows = await connection.fetch(
        _QUARANTINE,
        text_array(types),
        text_array(values),
        number_array(latest.values()),
        rules.quarantine.links,
        rules.quarantine.within,
    )
    return [
        Decision(at, "quarantined", owner, None, "shared", evidence={"identifiers": [[kind, value]]})
        for kind, value, owner, at in rows
    ]
