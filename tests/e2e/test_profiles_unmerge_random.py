"""Whatever merges, parts, merges again or is erased: every event is exactly one customer's, and each customer is
what its own events alone make of a customer. The segmenter's reading of the timeline agrees about whose each event
is.

By hand with more cases: `HEADRACE_TEST_CASES=1000 python -m pytest --timeout 0` of this file.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.profiles.fold import Arrival, InputClock, Located, fold
from services.profiles.history_sql import family
from services.profiles.intake import Incoming
from services.profiles.past_event import PastEvent
from services.profiles.people_sql import load_documents, lock_profiles
from services.profiles.profile import Documents, Profile
from services.profiles.store import Connection
from services.segmenter.timeline import PostgresTimeline
from tests.e2e.parting_town import Town, found_town

EXAMPLES = settings(
    max_examples=int(os.environ.get("HEADRACE_TEST_CASES", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

cards = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)
users = st.sampled_from([None, None, "u1", "u2"])
said = st.sampled_from(
    [
        {},
        {},
        {"traits": {"city": "Brno"}},
        {"traits": {"city": "Praha", "vip": True}},
        {"traits": {"vip": None}},
        {"event": "Consent Given", "properties": {"channel": "sms"}},
        {"event": "Consent Withdrawn", "properties": {"channel": "sms"}},
        {"event": "Tag Added", "properties": {"tag": "t"}},
        {"event": "Tag Removed", "properties": {"tag": "t"}},
    ]
)
zones = st.sampled_from([None, "Europe/Prague", "Asia/Tokyo"])
some = st.integers(0, 20)
event_op = st.tuples(st.just("event"), cards, users, said, st.integers(0, 50), zones)
merge_op = st.tuples(st.just("merge"), some, some)
out_op = st.tuples(st.just("out"), some, some)
undo_op = st.tuples(st.just("undo"), some)
outcome_op = st.tuples(st.just("outcome"), some, st.booleans())
rare_op = st.one_of(st.tuples(st.just("shared"), some), st.tuples(st.just("erase"), some))
operations = st.lists(
    st.one_of(event_op, event_op, event_op, event_op, merge_op, out_op, undo_op, outcome_op, rare_op),
    min_size=3,
    max_size=25,
)


def alone(events: Sequence[PastEvent], sent: dict[tuple[str, str], Incoming]) -> Profile:
    """The customer of whom there never were other events, folded as they came."""
    named = [event.ts for event in events if event.identifiers]
    profile = Profile("alone", named[0] if named else 0, named[0] if named else 0, documents=Documents())
    for event in events:
        incoming = sent[event.key]
        if incoming.identifiers:
            profile.saw(incoming.ts, incoming.time_zone)
        fold([Located(Arrival(incoming, InputClock(0, 0)), profile, (), None)])
    return profile


class Checker:
    def __init__(self, town: Town) -> None:
        self._town = town
        self._timeline = PostgresTimeline(town.pool)
        self._dated = True

    async def check(self) -> None:
        everything = Counter(
            (row["q"], row["seq"])
            for row in await self._town.pool.fetch("SELECT q, seq FROM timeline WHERE kind = 'event'")
        )
        found: Counter[tuple[int, int]] = Counter(self._town.erased)
        named: Counter[tuple[str, str]] = Counter()
        for customer in await self._town.customers():
            events = await self._town.events(customer)
            places = [(event.q, event.seq) for event in events]
            history = await self._timeline.history([customer])
            assert [(one.partition, one.row.seq) for one in history.combined(customer, 2**60)] == places
            async with self._town.pool.acquire() as connection, connection.transaction():
                named.update(await self._one(connection, customer, events))
            found.update(places)
        assert found == everything
        assert not named or max(named.values()) == 1

    async def _one(
        self, connection: Connection, customer: str, events: Sequence[PastEvent]
    ) -> list[tuple[str, str]]:
        profile = (await lock_profiles(connection, [customer])).profile(customer)
        assert profile is not None
        await load_documents(connection, [profile])
        expected = alone(events, self._town.sent)
        assert profile.documents is not None
        assert expected.documents is not None
        assert asdict(profile.documents) == asdict(expected.documents)
        assert (profile.time_zone, profile.time_zone_at) == (expected.time_zone, expected.time_zone_at)
        self._check_dates(profile, expected, any(event.identifiers for event in events))
        owned = await connection.fetch(
            "SELECT type, value FROM identifier WHERE profile_id = ANY($1)", await family(connection, customer)
        )
        assert owned, "a customer whom nobody could find"
        assert {row["value"] for row in owned if row["type"] == "user_id"} == {profile.user_id} - {None}
        return [(row["type"], row["value"]) for row in owned]

    def _check_dates(self, profile: Profile, expected: Profile, named: bool) -> None:
        # an identifier that never stood alone leaves with no event, and had been seen all the same
        self._dated = self._dated and named
        if self._dated:
            assert (profile.first_seen, profile.last_seen) == (expected.first_seen, expected.last_seen)
        elif named:
            assert profile.first_seen <= expected.first_seen
            assert profile.last_seen >= expected.last_seen


@EXAMPLES
@given(operations)
async def test_every_event_is_one_customers_whatever_merges_and_parts(
    database_url: str, operations: list[tuple[Any, ...]]
) -> None:
    town = await found_town(database_url)
    try:
        checker = Checker(town)
        for operation in operations:
            await town.do(operation)
            await checker.check()
    finally:
        await town.pool.close()
