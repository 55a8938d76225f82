"""What the messenger reads of customers, on the profile service's own views."""

import asyncpg

from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from services.messenger.consent import Consent
from services.messenger.customers import family_of, load_customers, roots_of
from services.profiles.store import MIGRATIONS

PEOPLE = """
INSERT INTO profiles.profile (id, user_id, traits, consents, computed, tags, first_seen, last_seen, merged_into)
VALUES ('p1', 'u1', '{"first_name": "Jana", "timezone": "Europe/Prague"}',
        '{"sms": {"status": "granted", "time": 5}}', '{"total": 12.5}', '["vip"]', 1, 2, NULL),
       ('p2', NULL, '{}', '{}', '{}', '[]', 1, 2, 'p1');
INSERT INTO profiles.alias VALUES ('p2', 'p1');
INSERT INTO profiles.identifier VALUES ('phone', '+420601000001', 'p2', 1, 2, 'web');
"""


async def test_the_views_of_the_profile_service_are_what_is_expected(database_url: str) -> None:
    await migrate(database_url, schema="profiles", scripts=MIGRATIONS)
    plain = await asyncpg.connect(database_url)
    await plain.execute(PEOPLE)
    await plain.close()
    pool = await connect_pool(database_url, schema="messenger")
    async with pool.acquire() as connection:
        assert await roots_of(connection, ["p1", "p2", "p3"]) == {"p1": "p1", "p2": "p1", "p3": "p3"}
        assert sorted(await family_of(connection, "p2")) == ["p1", "p2"]
        (customer,) = (await load_customers(connection, ["p1", "p2", "p3"])).values()
    await pool.close()
    assert customer.traits["first_name"] == "Jana"
    assert customer.consents == {"sms": Consent("granted", 5)}
    assert list(customer.identifiers) == [{"type": "phone", "value": "+420601000001"}]
    assert (customer.computed, customer.tags, customer.time_zone) == ({"total": 12.5}, ["vip"], "Europe/Prague")
