"""Writes the customers that taking one apart makes, and what is left of it, in `unmerging.py`'s transaction.

No row of the timeline is rewritten: which rows have moved, and to whom, is written beside them (`moved`), and both
profiles' partitions are told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.contracts.identifiers import USER_ID
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from services.profiles.components import Evidence, Part
from services.profiles.decisions import Decision, write_decisions
from services.profiles.fold import UnmergeDraft
from services.profiles.history_sql import family, past_events
from services.profiles.identity import Identifier
from services.profiles.merging import NOW, SOURCE
from services.profiles.past_event import PastEvent
from services.profiles.people_sql import load_documents, lock_profiles, write_profiles
from services.profiles.profile import Profile
from services.profiles.recomputed import Taken, contents, date, differences, documents_of
from services.profiles.sequence import assign, partitions_of
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.suppression import Suppressor
from services.profiles.suppression_sql import is_suppressed, suppress_apart

_TAKEN_OUT = """
    SELECT apart.type, apart.value FROM unmerge JOIN apart ON apart.unmerge_id = unmerge.id
    WHERE unmerge.profile_id = ANY($1::text[]) AND apart.side = 1
"""
_OWNED = "SELECT type, value, profile_id, first_seen FROM identifier WHERE profile_id = ANY($1::text[])"
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


class Asked(NamedTuple):
    """`request` is done once. `what` is to leave: `{"identifier": [type, value]}` or `{"merge": decision}`."""

    request: str
    what: dict[str, Any]
    partitions: int
    suppressor: Suppressor | None = None


class Customer(NamedTuple):
    """Everything of a locked profile that taking it apart needs."""

    profile: Profile
    family: Sequence[str]
    owners: Mapping[Identifier, str]
    seen: Mapping[Identifier, Millis]
    events: Sequence[PastEvent]
    suppressed: bool

    def evidence(self) -> list[Evidence]:
        return [Evidence((event.q, event.seq), event.held_as, event.identifiers) for event in self.events]


async def lock_customer(connection: Connection, profile_id: str) -> Customer | None:
    """The live profile that `profile_id` is or went into, locked."""
    people = await lock_profiles(connection, [profile_id])
    profile = people.profile(profile_id)
    if profile is None:
        return None
    await load_documents(connection, [profile])
    members = await family(connection, profile.id)
    rows = await connection.fetch(_OWNED, members)
    return Customer(
        profile,
        members,
        {(row["type"], row["value"]): row["profile_id"] for row in rows},
        {(row["type"], row["value"]): row["first_seen"] for row in rows},
        await past_events(connection, members),
        await is_suppressed(connection, profile.id),
    )


async def write_parts(
    connection: Connection,
    customer: Customer,
    made: Sequence[tuple[str, Part]],
    asked: Asked,
    *,
    remember: bool,
) -> None:
    """Write the new profiles (id, what it gets), and what is left of the old one. `remember`: what had connected
    them is no evidence any more."""
    old = customer.profile
    assert old.documents is not None, "loaded when it was locked"
    moved = {place: new_id for new_id, part in made for place in part.rows}
    staying = [event for event in customer.events if (event.q, event.seq) not in moved]
    leaving = frozenset[Identifier]().union(*(part.identifiers for _, part in made))
    left = customer.owners.keys() - leaving
    gone_before = await connection.fetch(_TAKEN_OUT, customer.family)
    # what other evidence has brought back is the customer's again
    taken_out = {(row["type"], row["value"]) for row in gone_before} - left | leaving
    before, old.documents = old.documents, documents_of(staying, taken_out)
    date(old, staying, [customer.seen[one] for one in left])
    old.user_id = _user_id(left)
    await write_profiles(connection, [old])  # first: it may give its user id up
    drafts = []
    for number, (new_id, part) in enumerate(made):
        last = number == len(made) - 1
        gone = [event for event in customer.events if moved.get((event.q, event.seq)) == new_id]
        new = _new_profile(new_id, part, gone, [customer.seen[one] for one in part.identifiers])
        await write_profiles(connection, [new])
        await _record(connection, customer, new_id, part, asked, left if remember else ())
        taken: Taken = differences(before, old.documents) if last else ({}, {}, {})
        drafts.append(_draft(old, new, asked.request, taken, more=not last))
    if drafts:
        counters = await lock_counters(connection, partitions_of(drafts, asked.partitions))
        await write_rows(connection, assign(drafts, counters, others_low=0, partitions=asked.partitions), counters)


def _new_profile(new_id: str, part: Part, events: Sequence[PastEvent], seen: Sequence[Millis]) -> Profile:
    """`seen`: when its identifiers were first seen."""
    new = Profile(new_id, 0, 0, user_id=_user_id(part.identifiers))
    date(new, events, seen)
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
    customer: Customer,
    new_id: str,
    part: Part,
    asked: Asked,
    left: Iterable[Identifier],
) -> None:
    """What moved, whose it is now, and what is no evidence any more."""
    old = customer.profile
    now = await connection.fetchval(NOW)
    await connection.execute(_NOTE, new_id, old.id, new_id, asked.request, now)
    qs, seqs = [q for q, _ in part.rows], [seq for _, seq in part.rows]
    await connection.execute(_MOVE, new_id, qs, seqs)
    await give(connection, new_id, part.identifiers)
    leading = _leading(customer, part)
    await connection.execute(_LEAD, new_id, leading)
    if asked.suppressor is not None and customer.suppressed:
        await suppress_apart(connection, asked.suppressor, [new_id, *leading], part.identifiers, now)
    for side, identifiers in ((0, list(left)), (1, list(part.identifiers) if left else [])):
        if identifiers:
            kinds, values = zip(*identifiers, strict=True)
            await connection.execute(_APART, new_id, side, kinds, values)
    evidence = {"identifiers": [list(one) for one in sorted(part.identifiers)], "asked": asked.what}
    await write_decisions(
        connection,
        [Decision(now, "unmerged", old.id, new_id, "asked" if left else "shared", evidence=evidence)],
    )


def _leading(customer: Customer, part: Part) -> list[str]:
    """Profiles that went into the customer and of which everything leaves: their ids lead to the new one. Rows
    that moved here name whom they were written under: that one may have gone into somebody else since."""
    moved = frozenset(part.rows)
    stays = {one for event in customer.events if (event.q, event.seq) not in moved for one in _had_by(event)}
    stays |= {owner for one, owner in customer.owners.items() if one not in part.identifiers}
    goes = {one for event in customer.events if (event.q, event.seq) in moved for one in _had_by(event)}
    goes |= {owner for one, owner in customer.owners.items() if one in part.identifiers}
    return sorted((goes - stays).intersection(customer.family) - {customer.profile.id})


def _had_by(event: PastEvent) -> tuple[str, str]:
    return event.written_as, event.held_as


async def give(connection: Connection, new_id: str, identifiers: Iterable[Identifier]) -> None:
    kinds, values = zip(*identifiers, strict=True)
    await connection.execute(_GIVE, new_id, kinds, values)
