"""Taking apart what was merged: an identifier, an earlier merge, or what a shared identifier held together.

One transaction, with `batch.py`'s order of locks.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

import asyncpg
import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.runtime.failpoints import failpoint
from services.profiles.components import Part, apart_without, without_identifier, without_merge
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity import Identifier, own_profile
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.parting import Asked, Customer, give, lock_customer, write_parts
from services.profiles.store import Connection
from services.profiles.suppression import Suppressor

_DONE = """
    SELECT into_id, profile_id, (SELECT count(*) FROM moved WHERE unmerge_id = id) AS moved,
        (SELECT evidence -> 'asked' FROM decision WHERE kind = 'unmerged' AND other_id = into_id) AS asked
    FROM unmerge WHERE request = $1
"""
_MERGE = """
    SELECT n, profile_id, other_id, source, message_id FROM decision WHERE n = $1 AND kind = 'merged'
"""
_LOSERS = """
    WITH RECURSIVE loser AS (
        SELECT $1::text AS id
        UNION SELECT other_id FROM decision JOIN loser ON profile_id = loser.id WHERE kind = 'merged'
    )
    SELECT id FROM loser
"""
_MERGE_ROW = """
    SELECT q, seq, time FROM timeline
    WHERE profile_id = $1 AND kind = 'merge' AND source = $2 AND message_id = $3
        AND payload LIKE '%"loser":"' || $4 || '"%'
"""
_QUARANTINED = """
    SELECT coalesce(alias.root, identifier.profile_id), quarantined_at FROM identifier
    LEFT JOIN alias ON alias.profile_id = identifier.profile_id
    WHERE type = $1 AND value = $2 AND quarantined_at IS NOT NULL AND NOT taken_apart
"""
_TAKEN_APART = "UPDATE identifier SET taken_apart = true WHERE type = $1 AND value = $2"


_Answer = TypeVar("_Answer")


class UnknownProfile(HeadraceError):
    """There is no such profile (any more)."""


class NotTheirs(HeadraceError):
    """The identifier, or the merge, is not this customer's."""


class NothingLeft(HeadraceError):
    """One of the two customers would have no identifier."""


class RequestReused(HeadraceError):
    """A request with this id took something else out."""


class Unmerged(NamedTuple):
    """`moved` rows are `into`'s now, no longer `profile_id`'s."""

    profile_id: str
    into: str
    moved: int


async def take_out(
    pool: asyncpg.Pool,
    profile_id: str,
    identifier: Identifier,
    request: str,
    partitions: int,
    rules: IdentityRules = DEFAULT_RULES,
    suppressor: Suppressor | None = None,
) -> Unmerged:
    """Take the identifier (in its canonical spelling) out of the customer, with what only it connects; once per
    `request`. Raises UnknownProfile, NotTheirs, NothingLeft, RequestReused. Never cancel it half-way."""

    async def part(connection: Connection, customer: Customer) -> Part:
        if identifier not in customer.owners:
            raise NotTheirs("the identifier is not this customer's")
        return without_identifier(
            identifier, customer.owners, customer.evidence(), _seniority(customer.seen, rules)
        )

    asked = Asked(request, {"identifier": list(identifier)}, partitions, suppressor)
    return await _retried(pool, lambda connection: _unmerge(connection, profile_id, asked, part))


async def undo(
    pool: asyncpg.Pool,
    profile_id: str,
    decision: int,
    request: str,
    partitions: int,
    suppressor: Suppressor | None = None,
) -> Unmerged:
    """Take the merge of this decision out of the customer; otherwise as `take_out`."""

    async def part(connection: Connection, customer: Customer) -> Part:
        merge = await connection.fetchrow(_MERGE, decision)
        if merge is None or merge["profile_id"] not in customer.family:
            raise NotTheirs("there was no such merge of this customer")
        losers = [row["id"] for row in await connection.fetch(_LOSERS, merge["other_id"])]
        row = await connection.fetchrow(
            _MERGE_ROW, merge["profile_id"], merge["source"], merge["message_id"], merge["other_id"]
        )
        if row is None:
            raise NotTheirs("the merge is no longer on the timeline")
        before = [
            (event.q, event.seq)
            for event in customer.events
            if (event.time, event.q, event.seq) < (row["time"], row["q"], row["seq"])
            and event.key != (merge["source"], merge["message_id"])
        ]
        return without_merge(losers, customer.owners, customer.evidence(), before)

    asked = Asked(request, {"merge": decision}, partitions, suppressor)
    return await _retried(pool, lambda connection: _unmerge(connection, profile_id, asked, part))


async def take_apart(
    pool: asyncpg.Pool,
    kind: str,
    value: str,
    partitions: int,
    rules: IdentityRules = DEFAULT_RULES,
    suppressor: Suppressor | None = None,
) -> int:
    """Make a profile of each component that only this identifier, which is in quarantine, had held together; how
    many. It is itself a profile's from then on that exists when it is needed. Doing it again changes nothing."""
    return await _retried(
        pool, lambda connection: _take_apart(connection, (kind, value), partitions, rules, suppressor)
    )


async def _retried(pool: asyncpg.Pool, once: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
    """In one transaction; again when somebody else was faster."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                answer = await once(connection)
                failpoint("before_commit")
            failpoint("after_commit")
            return answer


async def _unmerge(
    connection: Connection,
    profile_id: str,
    asked: Asked,
    part_of: Callable[[Connection, Customer], Awaitable[Part]],
) -> Unmerged:
    customer = await _lock(connection, profile_id)
    done = await connection.fetchrow(_DONE, asked.request)
    if done is not None:
        if done["asked"] is not None and msgspec.json.decode(done["asked"]) != asked.what:
            raise RequestReused(f"request {asked.request} took something else out")
        return Unmerged(done["profile_id"], done["into_id"], done["moved"])
    part = await part_of(connection, customer)
    if not part.identifiers or part.identifiers >= customer.owners.keys():
        raise NothingLeft("one of the two would have no identifier")
    new_id = content_id("u", asked.request)
    await write_parts(connection, customer, [(new_id, part)], asked, remember=True)
    return Unmerged(customer.profile.id, new_id, len(part.rows))


async def _take_apart(
    connection: Connection,
    out: Identifier,
    partitions: int,
    rules: IdentityRules,
    suppressor: Suppressor | None,
) -> int:
    found = await connection.fetchrow(_QUARANTINED, *out)
    if found is None:
        return 0  # done before
    owner, at = found
    customer = await _lock(connection, owner)
    if out not in customer.owners:
        raise Overtaken("the identifier has moved")
    *parts, own = apart_without(out, customer.owners, customer.evidence(), _seniority(customer.seen, rules))
    request = own_profile(out, at)
    made = [(content_id("u", "quarantine", *out, at, *min(part.identifiers)), part) for part in parts]
    if own.identifiers < customer.owners.keys():
        if own.rows:
            made.append((request, own))
        else:
            await give(connection, request, own.identifiers)
    asked = Asked(request, {"identifier": list(out)}, partitions, suppressor)
    await write_parts(connection, customer, made, asked, remember=False)
    await connection.execute(_TAKEN_APART, *out)
    return len(made)


async def _lock(connection: Connection, profile_id: str) -> Customer:
    customer = await lock_customer(connection, profile_id)
    if customer is None:
        raise UnknownProfile("there is no such profile")
    return customer


def _seniority(
    seen: Mapping[Identifier, Millis], rules: IdentityRules
) -> Callable[[Identifier], tuple[object, ...]]:
    """What is hard, then what is strong, then what was there first."""

    def of(one: Identifier) -> tuple[object, ...]:
        return not rules.of(one[0]).hard, *rules.rank(one[0]), seen.get(one, 0), one[1]

    return of
