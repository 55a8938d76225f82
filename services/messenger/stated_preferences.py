"""What customers have just chosen on their page, until the profile service has heard it: a claim reads it here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from headrace.contracts.communication import COMMUNICATION
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus
from services.messenger.consent import Consent
from services.messenger.customer import Customer
from services.messenger.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class Stated:
    """The trait `communication` and the consents that changed, since when."""

    communication: Mapping[str, Any]
    consents: Mapping[str, Consent]


def as_stated(customer: Customer, stated: Stated) -> Customer:
    """The customer as the profile service will show them. A consent that it shows already and that is newer
    holds."""
    newer = {
        name: consent
        for name, consent in stated.consents.items()
        if name not in customer.consents or customer.consents[name].time < consent.time
    }
    return replace(
        customer,
        traits={**customer.traits, COMMUNICATION: stated.communication},
        consents={**customer.consents, **newer},
    )


async def stated_by(connection: Connection, roots: Iterable[str]) -> dict[str, Stated]:
    """By customer (its root), what was chosen and is not heard yet; of several that became one the last word."""
    found: dict[str, Stated] = {}
    for row in await connection.fetch(_SELECT, sorted(set(roots))):
        before = found.get(row["root"])
        consents = {
            name: Consent(one["status"], one["time"]) for name, one in msgspec.json.decode(row["consents"]).items()
        }
        earlier = before.consents if before is not None else {}
        found[row["root"]] = Stated(msgspec.json.decode(row["communication"]), {**earlier, **consents})
    return found


async def state(
    connection: Connection,
    profile_id: str,
    communication: Mapping[str, Any],
    consents: Mapping[str, ConsentStatus],
    now: Millis,
    *,
    told: str,
) -> None:
    """Keep the customer's word. `told`: id of the update that tells it to the profile service."""
    changed = {name: {"status": status, "time": now} for name, status in consents.items()}
    documents = (msgspec.json.encode(communication).decode(), msgspec.json.encode(changed).decode())
    await connection.execute(_STATE, profile_id, *documents, now, told)


async def drop_heard(pool: Pool) -> None:
    """Forget what stands on the customer's timeline: from then on the profile service knows better."""
    await pool.execute(_DROP)


_SELECT = """
    SELECT coalesce(a.root, s.profile_id) AS root, s.communication::text AS communication,
        s.consents::text AS consents
    FROM preference s LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE coalesce(a.root, s.profile_id) = ANY($1::text[]) ORDER BY s.at
"""
_STATE = """
    INSERT INTO preference AS s (profile_id, communication, consents, at, message_id) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (profile_id) DO UPDATE SET communication = excluded.communication,
        consents = s.consents || excluded.consents, at = excluded.at, message_id = excluded.message_id
"""
# it was heard under the id that the customer had then: any of those that are one now
_DROP = """
    DELETE FROM preference s
    WHERE EXISTS (
        SELECT FROM profiles.timeline_v1 t
        WHERE t.message_id = s.message_id AND t.profile_id = ANY(ARRAY(
            SELECT s.profile_id
            UNION ALL SELECT a.root FROM profiles.alias_v1 a WHERE a.profile_id = s.profile_id
            UNION ALL SELECT b.profile_id FROM profiles.alias_v1 a JOIN profiles.alias_v1 b USING (root)
                WHERE a.profile_id = s.profile_id)))
"""
