"""Declaring consent by API: a row on the timeline as when an event says it, and its record, once per request."""

from contextlib import suppress

import asyncpg
import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus, EventRow
from services.profiles.audit import note
from services.profiles.consent import Proof, consent_key, event_of
from services.profiles.consent_records import write_consents
from services.profiles.fold import EventDraft
from services.profiles.identifiers_sql import Overtaken
from services.profiles.intake import fingerprint
from services.profiles.merging import NO_INPUT, NOW, SOURCE
from services.profiles.people_sql import load_documents, lock_profiles, write_people
from services.profiles.profile import Profile
from services.profiles.sequence import assign, partitions_of
from services.profiles.stated import Stated, apply_stated
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.tagging import AT_ITS_ROW

_CLAIM = (
    "INSERT INTO seen (source, message_id, body_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true"
)
_CLAIMED = "SELECT body_hash FROM seen WHERE source = $1 AND message_id = $2"


class Declaration(msgspec.Struct, frozen=True):
    """`at`: when the customer said so, milliseconds since the epoch; None: now, after all that is known. `id`: of
    the request."""

    id: str
    channel: str
    purpose: str
    status: ConsentStatus
    proof: Proof = Proof()
    at: Millis | None = None


class RequestReused(HeadraceError):
    """The id belongs to a request that says something else."""


class UnknownProfile(HeadraceError):
    """There is no such profile (any more)."""


async def declare(
    pool: asyncpg.Pool, profile_id: str, declaration: Declaration, partitions: int, *, actor: str
) -> str:
    """Declare it for the profile that `profile_id` is or went into; return that one's id. A repetition of the
    request changes nothing. Raises UnknownProfile or RequestReused. Never cancel it half-way."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                return await _declare(connection, profile_id, declaration, partitions, actor)


async def _declare(
    connection: Connection, profile_id: str, declaration: Declaration, partitions: int, actor: str
) -> str:
    message_id = content_id("c", declaration.id, profile_id)
    body_hash = fingerprint(msgspec.json.encode(declaration))
    fresh = await connection.fetchval(_CLAIM, SOURCE, message_id, body_hash)
    if not fresh and await connection.fetchval(_CLAIMED, SOURCE, message_id) != body_hash:
        raise RequestReused(f"request {declaration.id} said something else")
    people = await lock_profiles(connection, [profile_id])
    profile = people.profile(profile_id)
    if profile is None:
        raise UnknownProfile("there is no such profile")
    if not fresh:
        return profile.id
    await load_documents(connection, [profile])
    now: Millis = await connection.fetchval(NOW)
    draft = _draft(profile, declaration, message_id, now)
    await write_people(connection, people)
    details = {"channel": declaration.channel, "purpose": declaration.purpose, "status": declaration.status}
    await note(connection, actor, "consent", profile.id, details)
    counters = await lock_counters(connection, partitions_of([draft], partitions))
    rows = assign([draft], counters, others_low=0, partitions=partitions)
    await write_rows(connection, rows, counters)
    await write_consents(connection, [draft], rows)
    return profile.id


def _draft(profile: Profile, declaration: Declaration, message_id: str, now: Millis) -> EventDraft:
    documents = profile.documents
    assert documents is not None, "just loaded"
    key = consent_key(declaration.channel, declaration.purpose)
    known = documents.consents[key]["time"] if key in documents.consents else -1
    ranked = max(now, known + 1) if declaration.at is None else min(declaration.at, now)
    stated = Stated(ranked, consents={key: declaration.status})
    _, consents, _ = apply_stated(documents, stated)
    said = {
        "channel": declaration.channel,
        "purpose": declaration.purpose,
        "wording": declaration.proof.wording,
        "source": declaration.proof.source,
    }
    row = EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id=profile.id,
        source=SOURCE,
        message_id=message_id,
        type="track",
        ts=AT_ITS_ROW if declaration.at is None else ranked,
        event=event_of(declaration.status),
        properties=msgspec.Raw(msgspec.json.encode({name: value for name, value in said.items() if value})),
        consents=consents,
        user_id=profile.user_id,
        received_at=now,
    )
    return EventDraft(NO_INPUT, None, row, stated=stated, proof=declaration.proof)
