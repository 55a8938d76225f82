"""Merging two profiles by hand: the same rows and aliases as when an event connects them."""

from collections.abc import Sequence
from contextlib import suppress
from enum import Enum

import asyncpg

from headrace.contracts.ids import content_id
from headrace.runtime.failpoints import failpoint
from services.profiles.decisions import Decision, write_decisions
from services.profiles.evidence_sql import load_names
from services.profiles.fold import InputClock, MergeDraft
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.people_sql import load_documents, lock_profiles, write_people
from services.profiles.profile import Profile
from services.profiles.sequence import assign, partitions_of
from services.profiles.store import Connection, lock_counters, write_rows

SOURCE = "headrace.api"
NO_INPUT = InputClock(time=0, processed=0)
"""It comes from no input: its rows take the time and low that their partitions have."""

NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# Whoever says that two are one overrules what was taken apart.
_FORGET_APART = """
    DELETE FROM apart USING unmerge WHERE unmerge.id = apart.unmerge_id
        AND coalesce((SELECT root FROM alias WHERE alias.profile_id = unmerge.profile_id), unmerge.profile_id)
            = ANY(ARRAY[$1, $2])
        AND coalesce((SELECT root FROM alias WHERE alias.profile_id = unmerge.into_id), unmerge.into_id)
            = ANY(ARRAY[$1, $2])
"""


class Merge(Enum):
    """What became of a merge. Merging what is one already is done."""

    DONE = "done"
    UNKNOWN = "unknown"
    TWO_CUSTOMERS = "two_customers"


async def merge(
    pool: asyncpg.Pool, loser: str, winner: str, partitions: int, rules: IdentityRules = DEFAULT_RULES
) -> Merge:
    """Merge profile `loser` into `winner`; merged ids stand for what they went into. Two with different
    identifiers of a hard type are never merged."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                done = await _merge(connection, (loser, winner), partitions, rules)
                failpoint("before_commit")
            failpoint("after_commit")
            return done


async def _merge(connection: Connection, ids: Sequence[str], partitions: int, rules: IdentityRules) -> Merge:
    people = await lock_profiles(connection, ids)
    loser, winner = (people.profile(one) for one in ids)
    if loser is None or winner is None:
        return Merge.UNKNOWN
    if loser is winner:
        return Merge.DONE
    await load_names(connection, (loser, winner), rules)
    if _are_two_customers(loser, winner, rules):
        return Merge.TWO_CUSTOMERS
    winner.absorb(loser)
    of_winner, of_loser = await load_documents(connection, (winner, loser))
    traits, consents, tags = of_winner.absorb(of_loser)
    people.merged.append((loser.id, winner.id))
    await write_people(connection, people)
    await connection.execute(_FORGET_APART, loser.id, winner.id)
    message_id = content_id("m", loser.id, winner.id)
    now = await connection.fetchval(NOW)
    made = Decision(now, "merged", winner.id, loser.id, "asked", SOURCE, message_id)
    await write_decisions(connection, [made])
    draft = MergeDraft(
        clock=NO_INPUT,
        traceparent=None,
        winner=winner.id,
        loser=loser.id,
        source=SOURCE,
        message_id=message_id,
        traits=traits,
        consents=consents,
        user_id=winner.user_id,
        tags=tags,
    )
    counters = await lock_counters(connection, partitions_of([draft], partitions))
    await write_rows(connection, assign([draft], counters, others_low=0, partitions=partitions), counters)
    return Merge.DONE


def _are_two_customers(one: Profile, other: Profile, rules: IdentityRules) -> bool:
    both = (one.names or {}).keys() & (other.names or {}).keys()
    return any(rules.of(kind).hard for kind in both)
