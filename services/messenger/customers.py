"""Customers as the profile service shows them: its contract views, read inside the claim's transaction."""

from collections.abc import Iterable
from typing import Any

import msgspec

from services.messenger.consent import Consent
from services.messenger.customer import Customer
from services.messenger.stated_preferences import as_stated, stated_by
from services.messenger.store import Connection


async def roots_of(connection: Connection, profile_ids: Iterable[str]) -> dict[str, str]:
    """The root of each id; an id that was never merged away is its own."""
    ids = sorted(set(profile_ids))
    rows = await connection.fetch(
        "SELECT profile_id, root FROM profiles.alias_v1 WHERE profile_id = ANY($1::text[])", ids
    )
    return {profile_id: profile_id for profile_id in ids} | {row["profile_id"]: row["root"] for row in rows}


async def family_of(connection: Connection, profile_id: str) -> list[str]:
    """Every id that means the same customer as `profile_id`."""
    root = (await roots_of(connection, [profile_id]))[profile_id]
    rows = await connection.fetch("SELECT profile_id FROM profiles.alias_v1 WHERE root = $1", root)
    return [root, *(row["profile_id"] for row in rows)]


async def load_customers(connection: Connection, roots: Iterable[str]) -> dict[str, Customer]:
    """The customers of these roots; one that was erased or never existed is left out. What they chose on their
    page a moment ago holds already."""
    rows = await connection.fetch(
        """SELECT id, traits::text AS traits, computed::text AS computed, tags::text AS tags,
                  consents::text AS consents, identifiers::text AS identifiers, time_zone,
                  EXISTS (SELECT FROM profiles.suppressed_v1 WHERE profile_id = ANY(ARRAY(
                      SELECT p.id UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = p.id
                  ))) AS suppressed
           FROM profiles.profile_v1 p WHERE id = ANY($1::text[])""",
        sorted(set(roots)),
    )
    customers = {row["id"]: _customer(row) for row in rows}
    stated = await stated_by(connection, customers)
    return customers | {root: as_stated(customers[root], said) for root, said in stated.items()}


def _customer(row: Any) -> Customer:
    consents = msgspec.json.decode(row["consents"] or "{}")
    return Customer(
        id=row["id"],
        traits=msgspec.json.decode(row["traits"] or "{}"),
        computed=msgspec.json.decode(row["computed"] or "{}"),
        tags=msgspec.json.decode(row["tags"] or "[]"),
        consents={name: Consent(value["status"], int(value["time"])) for name, value in consents.items()},
        identifiers=msgspec.json.decode(row["identifiers"] or "[]"),
        time_zone=row["time_zone"],
        suppressed=row["suppressed"],
    )
