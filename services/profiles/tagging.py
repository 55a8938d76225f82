"""Changing tags by API: rows on the timeline as when an event says it, once per request.

A request is told from its repetition by its id (`tag_request`, first in `batch.py`'s order of locks).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import asyncpg
import msgspec
import structlog

from headrace.contracts.errors import HeadraceError
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from headrace.contracts.topics import partition_of
from services.profiles.fold import EventDraft
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity import People
from services.profiles.intake import fingerprint
from services.profiles.merging import NO_INPUT, SOURCE
from services.profiles.people_sql import load_documents, lock_profiles, write_people
from services.profiles.profile import Profile
from services.profiles.sequence import assign, partitions_of
from services.profiles.stated import Stated
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.tags import apply_tag_now, described

AT_ITS_ROW: Millis = 2**63 - 1
"""A timestamp that no clock reaches: numbering lowers it to the row's own time."""

_CLAIM = "INSERT INTO tag_request (id, body_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id"
_CLAIMED = "SELECT body_hash, answer FROM tag_request WHERE id = $1"
_ANSWER = "UPDATE tag_request SET answer = $2 WHERE id = $1"
_CLOCKS = "SELECT q, greatest(time, low) AS now FROM counter WHERE q = ANY($1::int[])"

log = structlog.get_logger()


class TagChange(msgspec.Struct, frozen=True):
    """Put `tag` on the profile, or take it off. A merged profile's id stands for what it went into."""

    profile_id: str
    tag: str
    on: bool


class TagRequest(msgspec.Struct, frozen=True):
    """Changes in order, all in one transaction, once per `id`. Tags are names as `tag_name` gives them."""

    id: str
    changes: Sequence[TagChange]


class TagAnswer(msgspec.Struct, frozen=True):
    """How many changes changed something and how many found it so; `unknown`: ids of nobody (any more).
    `refused`: how many of the unchanged found no room on their profile (`MAX_TAGS`)."""

    applied: int = 0
    unchanged: int = 0
    unknown: Sequence[str] = ()
    refused: int = 0


class RequestReused(HeadraceError):
    """The id belongs to a request with other changes."""


class UnknownProfile(HeadraceError):
    """There is no such profile (any more)."""


class TooManyTags(HeadraceError):
    """The profile has no room for a further name."""


async def change_tags(
    pool: asyncpg.Pool, request: TagRequest, partitions: int, *, whole: bool = False
) -> TagAnswer:
    """Apply `request`, or answer what it was answered before. With `whole` all of it or nothing.

    Raises RequestReused; with `whole`, UnknownProfile and TooManyTags. Never cancel it half-way.
    """
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                answer = await _once(connection, request, partitions)
                if whole:
                    _demand(answer)
            return answer


def _demand(answer: TagAnswer) -> None:
    if answer.unknown:
        raise UnknownProfile("there is no such profile")
    if answer.refused:
        raise TooManyTags(f"no room for {answer.refused} tags")


async def _once(connection: Connection, request: TagRequest, partitions: int) -> TagAnswer:
    body_hash = fingerprint(msgspec.json.encode(request.changes))
    if await connection.fetchval(_CLAIM, request.id, body_hash) is None:
        claimed = await connection.fetchrow(_CLAIMED, request.id)
        assert claimed is not None, "requests are never deleted"
        if claimed["body_hash"] != body_hash:
            raise RequestReused(f"request {request.id} had other changes")
        return msgspec.json.decode(claimed["answer"], type=TagAnswer)
    answer = await _apply(connection, request, partitions)
    await connection.execute(_ANSWER, request.id, msgspec.json.encode(answer).decode())
    if answer.refused:
        log.warning("tags_refused", request=request.id, count=answer.refused)
    return answer


async def _apply(connection: Connection, request: TagRequest, partitions: int) -> TagAnswer:
    people = await lock_profiles(connection, {change.profile_id for change in request.changes})
    await load_documents(connection, list(people.profiles()))
    clocks = await _clocks(connection, people.profiles(), partitions)
    drafts, unknown, refused = [], dict[str, None](), 0
    for index, change in enumerate(request.changes):
        profile = people.profile(change.profile_id)
        if profile is None:
            unknown[change.profile_id] = None
            continue
        changed, known = _write(profile, change, clocks[profile.id])
        if changed:
            message_id = content_id("t", request.id, profile.id, index)
            drafts.append(_draft(profile, change, clocks[profile.id], message_id))
        elif not known:
            refused += 1
    await _write_all(connection, people, drafts, partitions)
    found = sum(change.profile_id not in unknown for change in request.changes)
    return TagAnswer(len(drafts), found - len(drafts), list(unknown), refused)


async def _clocks(connection: Connection, profiles: Iterable[Profile], partitions: int) -> Mapping[str, Millis]:
    """What time it is for each profile, at its output partition, as `sequence.py` tells it. Counters are locked
    late: rows of others may get numbers meanwhile, so this is where the change ranks, and the row may be later."""
    homes = {profile.id: partition_of(profile.id, partitions) for profile in profiles}
    rows = await connection.fetch(_CLOCKS, sorted(set(homes.values())))
    now = {row["q"]: row["now"] for row in rows}
    return {profile: now[q] for profile, q in homes.items()}


def _write(profile: Profile, change: TagChange, now: Millis) -> tuple[bool, bool]:
    """Whether it changed the profile, and whether there was room for it."""
    documents = profile.documents
    assert documents is not None, "loaded for everybody who was locked"
    changed = apply_tag_now(documents.tags, documents.tag_times, change.tag, change.on, now)
    return bool(changed), change.tag in documents.tag_times


def _draft(profile: Profile, change: TagChange, now: Millis, message_id: str) -> EventDraft:
    event, properties = described(change.tag, change.on)
    row = EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id=profile.id,
        source=SOURCE,
        message_id=message_id,
        type="track",
        ts=AT_ITS_ROW,
        event=event,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        tags={change.tag: change.on},
        user_id=profile.user_id,
        received_at=now,
    )
    assert profile.documents is not None, "loaded for everybody who was locked"
    ranked = profile.documents.tag_times[change.tag]
    return EventDraft(NO_INPUT, None, row, stated=Stated(ranked, tags={change.tag: change.on}))


async def _write_all(
    connection: Connection, people: People, drafts: Sequence[EventDraft], partitions: int
) -> None:
    await write_people(connection, people)
    if drafts:
        counters = await lock_counters(connection, partitions_of(drafts, partitions))
        await write_rows(connection, assign(drafts, counters, others_low=0, partitions=partitions), counters)
