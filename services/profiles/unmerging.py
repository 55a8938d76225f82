"""Taking apart what was merged: an identifier, an earlier merge, or what a shared identifier held together.

One transaction, with `batch.py`'s order of locks. No row of the timeline is rewritten: which rows have moved, and
to whom, is written beside them (`moved`), and both profiles' partitions are told.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import asyncpg

from headrace.contracts.errors import HeadraceError
from headrace.contracts.identifiers import USER_ID
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.runtime.failpoints import failpoint
from services.profiles.components import Evidence, Part, apart_without, without_identifier, without_merge
from services.profiles.decisions import Decision, write_decisions
from services.profiles.fold import UnmergeDraft
from services.profiles.history_sql import PastEvent, family, past_events
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity import Identifier, own_profile
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.merging import NOW, SOURCE
from services.profiles.people_sql import load_documents, lock_profiles, write_profiles
from services.profiles.profile import Profile
from services.profiles.recomputed import Taken, contents, date, differences, documents_of
from services.profiles.sequence import assign, partitions_of
from services.profiles.store import Connection, lock_counters, write_rows

_OWNED = "SELECT type, value, profile_id, first_seen FROM identifier WHERE profile_id = ANY($1::text[])"
_ASKED = "SELECT into_id, profile_id, (SELECT count(*) FROM moved WHERE unmerge_id = id) AS moved FROM unmerge "
_NOTE = "INSERT INTO unmerge (id, profile_id, into_id, request, at) VALUES ($1, $2, $3, $4, $5)"
_MOVE = "INSERT INTO moved SELECT $1, * FROM unnest($2::int[], $3::bigint[])"
_GIVE = """
    UPDATE identifier SET profile_id = $1
    WHERE (type, value) IN (SELECT * FROM unnest($2::text[], $3::text[]))
"""
_LEAD = "UPDATE alias SET root = $1 WHERE profile_id = ANY($2::text[])"
_APART = """
    INSERT INTO apart SELECT type, value, $1, $2 FROM unnest($3::text[], $4::text[]) AS new (type, value)
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


class Unmerged(NamedTuple):
    """`moved` rows are `into`'s now, no longer `profile_id`'s."""

    profile_id: str
    into: str
    moved: int


class _Customer(NamedTuple):
    """Everything of a locked profile that taking it apart needs."""

    profile: Profile
    family: Sequence[str]
    owners: Mapping[Identifier, str]
    seen: Mapping[Identifier, Millis]
    events: Sequence[PastEvent]

    def evidence(self) -> list[Evidence]:
        return [Evidence((event.q, event.seq), event.written_as, event.identifiers) for event in self.events]


async def take_out(
    pool: asyncpg.Pool,
    profile_id: str,
    identifier: Identifier,
    request: str,
    partitions: int,
    rules: IdentityRules = DEFAULT_RULES,
) -> Unmerged:
    """Take the identifier (in its canonical spelling) out of the customer, with what only it connects; once per
    `request`. Raises UnknownProfile, NotTheirs, NothingLeft. Never cancel it half-way."""

    async def part(connection: Connection, customer: _Customer) -> Part:
        if identifier not in customer.owners:
            raise NotTheirs("the identifier is not this customer's")
        return without_identifier(
            identifier, customer.owners, customer.evidence(), _seniority(customer.seen, rules)
        )

    return await _retried(pool, lambda connection: _unmerge(connection, profile_id, request, part, partitions))


async def undo(pool: asyncpg.Pool, profile_id: str, decision: int, request: str, partitions: int) -> Unmerged:
    """Take the merge of this decision out of the customer; otherwise as `take_out`."""

    async def part(connection: Connection, customer: _Customer) -> Part:
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

    return await _retried(pool, lambda connection: _unmerge(connection, profile_id, request, part, partitions))


async def take_apart(
    pool: asyncpg.Pool, kind: str, value: str, partitions: int, rules: IdentityRules = DEFAULT_RULES
) -> int:
    """Make a profile of each component that only this identifier, which is in quarantine, had held together; how
    many. It is itself a profile's from then on that exists when it is needed. Doing it again changes nothing."""
    return await _retried(pool, lambda connection: _take_apart(connection, (kind, value), partitions, rules))


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
    request: str,
    part_of: Callable[[Connection, _Customer], Awaitable[Part]],
    partitions: int,
) -> Unmerged:
    customer = await _lock(connection, profile_id)
    asked = await connection.fetchrow(_ASKED + "WHERE request = $1", request)
    if asked is not None:
        return Unmerged(asked["profile_id"], asked["into_id"], asked["moved"])
    part = await part_of(connection, customer)
    if not part.identifiers or part.identifiers >= customer.owners.keys():
        raise NothingLeft("one of the two would have no identifier")
    new_id = content_id("u", request)
    await _write(connection, customer, [(new_id, part)], request, partitions, remember=True)
    return Unmerged(customer.profile.id, new_id, len(part.rows))


async def _take_apart(connection: Connection, out: Identifier, partitions: int, rules: IdentityRules) -> int:
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
            await _give(connection, request, own.identifiers)
    await _write(connection, customer, made, request, partitions, remember=False)
    await connection.execute(_TAKEN_APART, *out)
    return len(made)


async def _lock(connection: Connection, profile_id: str) -> _Customer:
    people = await lock_profiles(connection, [profile_id])
    profile = people.profile(profile_id)
    if profile is None:
        raise UnknownProfile("there is no such profile")
    await load_documents(connection, [profile])
    members = await family(connection, profile.id)
    rows = await connection.fetch(_OWNED, members)
    return _Customer(
        profile,
        members,
        {(row["type"], row["value"]): row["profile_id"] for row in rows},
        {(row["type"], row["value"]): row["first_seen"] for row in rows},
        await past_events(connection, members),
    )


def _seniority(
    seen: Mapping[Identifier, Millis], rules: IdentityRules
) -> Callable[[Identifier], tuple[object, ...]]:
    """What is hard, then what is strong, then what was there first."""

    def of(one: Identifier) -> tuple[object, ...]:
        return not rules.of(one[0]).hard, *rules.rank(one[0]), seen.get(one, 0), one[1]

    return of


async def _write(
    connection: Connection,
    customer: _Customer,
    made: Sequence[tuple[str, Part]],
    request: str,
    partitions: int,
    *,
    remember: bool,
) -> None:
    """Write the new profiles, and what is left of the old one."""
    old = customer.profile
    assert old.documents is not None, "loaded when it was locked"
    moved = {place: new_id for new_id, part in made for place in part.rows}
    staying = [event for event in customer.events if (event.q, event.seq) not in moved]
    before, old.documents = old.documents, documents_of(staying)
    date(old, staying)
    left = set(customer.owners).difference(*(part.identifiers for _, part in made))
    old.user_id = _user_id(left)
    await write_profiles(connection, [old])  # first: it may give its user id up
    drafts = []
    for number, (new_id, part) in enumerate(made):
        last = number == len(made) - 1
        gone = [event for event in customer.events if moved.get((event.q, event.seq)) == new_id]
        new = _new_profile(new_id, part, gone, [customer.seen[one] for one in part.identifiers])
        await write_profiles(connection, [new])
        await _record(connection, customer, new_id, part, request, left if remember else ())
        taken: Taken = differences(before, old.documents) if last else ({}, {}, {})
        drafts.append(_draft(old, new, request, taken, more=not last))
    if drafts:
        counters = await lock_counters(connection, partitions_of(drafts, partitions))
        await write_rows(connection, assign(drafts, counters, others_low=0, partitions=partitions), counters)


def _new_profile(new_id: str, part: Part, events: Sequence[PastEvent], seen: Sequence[Millis]) -> Profile:
    """`seen`: when its identifiers were first seen, which stands where no event is left to say it."""
    new = Profile(new_id, min(seen), max(seen), user_id=_user_id(part.identifiers))
    date(new, events)
    new.documents = documents_of(events)
    return new


def _user_id(identifiers: Iterable[Identifier]) -> str | None:
    return next((value for kind, value in sorted(identifiers) if kind == USER_ID), None)


def _draft(old: Profile, new: Profile, request: str, taken: Taken, *, more: bool) -> UnmergeDraft:
    assert new.documents is not None, "just computed"
    return UnmergeDraft(
        id=new.id,
        profile_id=old.id,
        into=new.id,
        source=SOURCE,
        message_id=content_id("u", request, new.id),
        taken=taken,
        given=contents(new.documents),
        user_id=old.user_id,
        into_user_id=new.user_id,
        more=more,
    )


async def _record(
    connection: Connection,
    customer: _Customer,
    new_id: str,
    part: Part,
    request: str,
    left: Iterable[Identifier],
) -> None:
    """What moved, whose it is now, and what is no evidence any more."""
    old = customer.profile
    now = await connection.fetchval(NOW)
    await connection.execute(_NOTE, new_id, old.id, new_id, request, now)
    qs, seqs = [q for q, _ in part.rows], [seq for _, seq in part.rows]
    await connection.execute(_MOVE, new_id, qs, seqs)
    await _give(connection, new_id, part.identifiers)
    await connection.execute(_LEAD, new_id, _leading(customer, part))
    for side, identifiers in ((0, list(left)), (1, list(part.identifiers) if left else [])):
        if identifiers:
            kinds, values = zip(*identifiers, strict=True)
            await connection.execute(_APART, new_id, side, kinds, values)
    evidence = {"identifiers": [list(one) for one in sorted(part.identifiers)]}
    await write_decisions(
        connection,
        [Decision(now, "unmerged", old.id, new_id, "asked" if left else "shared", evidence=evidence)],
    )


def _leading(customer: _Customer, part: Part) -> list[str]:
    """Profiles that went into the customer and of which everything leaves: their ids lead to the new one."""
    moved = frozenset(part.rows)
    stays = {event.written_as for event in customer.events if (event.q, event.seq) not in moved}
    stays |= {owner for one, owner in customer.owners.items() if one not in part.identifiers}
    goes = {event.written_as for event in customer.events if (event.q, event.seq) in moved}
    goes |= {owner for one, owner in customer.owners.items() if one in part.identifiers}
    return sorted(goes - stays - {customer.profile.id})


async def _give(connection: Connection, new_id: str, identifiers: Iterable[Identifier]) -> None:
    kinds, values = zip(*identifiers, strict=True)
    await connection.execute(_GIVE, new_id, kinds, values)
