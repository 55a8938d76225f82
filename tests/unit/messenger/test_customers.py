"""What the messenger reads of customers, on the profile service's own views."""

import asyncpg

from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from services.messenger.consent import Consent
from services.messenger.customers import family_of, load_customers, roots_of
from services.messenger.main import MIGRATIONS, SCHEMA
from services.messenger.stated_preferences import drop_heard, state
from services.profiles.store import MIGRATIONS as PROFILES

PEOPLE = """
INSERT INTO profiles.profile (id, user_id, traits, consents, computed, tags, first_seen, last_seen, merged_into)
VALUES ('p1', 'u1', '{"first_name": "Jana", "timezone": "Europe/Prague"}',
        '{"sms": {"status": "granted", "time": 5}}', '{"total": 12.5}', '["vip"]', 1, 2, NULL),
       ('p2', NULL, '{}', '{}', '{}', '[]', 1, 2, 'p1');
INSERT INTO profiles.alias VALUES ('p2', 'p1');
INSERT INTO profiles.identifier VALUES ('phone', '+420601000001', 'p2', 1, 2, 'web');
"""
HEARD = """
INSERT INTO profiles.timeline (q, seq, epoch, time, low, profile_id, kind, message_id, payload)
VALUES (0, 1, 1, 0, 0, 'p1', 'event', 'u1', '')
"""


async def test_the_views_of_the_profile_service_are_what_is_expected(database_url: str) -> None:
    await migrate(database_url, schema="profiles", scripts=PROFILES)
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
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


async def test_what_was_chosen_holds_until_the_profile_services_timeline_has_it(database_url: str) -> None:
    await migrate(database_url, schema="profiles", scripts=PROFILES)
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect_pool(database_url, schema=SCHEMA)
    async with pool.acquire() as connection:
        await connection.execute(PEOPLE)
        await state(connection, "p2", {"topics": []}, {"sms": "withdrawn"}, 7, told="u1")
        (chosen,) = (await load_customers(connection, ["p1"])).values()
        await drop_heard(pool)
        (still,) = (await load_customers(connection, ["p1"])).values()
        await connection.execute(HEARD)
        await drop_heard(pool)
        (after,) = (await load_customers(connection, ["p1"])).values()
    await pool.close()
    assert chosen == still
    assert (chosen.traits["communication"], chosen.consents) == ({"topics": []}, {"sms": Consent("withdrawn", 7)})
    assert ("communication" in after.traits, after.consents) == (False, {"sms": Consent("granted", 5)})
