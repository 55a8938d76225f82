"""Setting how a customer wants to be written to: a trait, as when an event says it."""

from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from headrace.contracts.communication import COMMUNICATION
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from services.profiles.audit import note
from services.profiles.fold import EventDraft
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity_rules import IdentityRules
from services.profiles.intake import fingerprint
from services.profiles.merging import NO_INPUT, NOW, SOURCE
from services.profiles.people_sql import load_documents, lock_profiles, write_people
from services.profiles.profile import Documents, Profile
from services.profiles.provenance import ZERO_PARTY
from services.profiles.sequence import assign, partitions_of
from services.profiles.stated import Stated, apply_stated
from services.profiles.store import Connection, lock_counters, write_rows

EVENT = "Preferences Set"
_NO_PARTITION = -1
"""In the stamp of what came from no input."""


async def set_preferences(
    pool: asyncpg.Pool,
    profile_id: str,
    wanted: dict[str, Any],
    partitions: int,
    rules: IdentityRules,
    *,
    actor: str,
) -> str | None:
    """Replace the preferences of the profile that `profile_id` is or went into; return that one's id, None when
    there is none. What is so already writes nothing. Never cancel it half-way."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                people = await lock_profiles(connection, [profile_id])
                profile = people.profile(profile_id)
                if profile is None:
                    return None
                [documents] = await load_documents(connection, [profile])
                if documents.traits.get(COMMUNICATION) == wanted:
                    return profile.id
                now = await connection.fetchval(NOW)
                draft = _draft(profile, documents, wanted, rules, now)
                await write_people(connection, people)
                await note(connection, actor, "preferences", profile.id, {"set": sorted(wanted)})
                await _write(connection, draft, partitions)
                return profile.id


async def _write(connection: Connection, draft: EventDraft, partitions: int) -> None:
    counters = await lock_counters(connection, partitions_of([draft], partitions))
    await write_rows(connection, assign([draft], counters, others_low=0, partitions=partitions), counters)


def _draft(
    profile: Profile, documents: Documents, wanted: dict[str, Any], rules: IdentityRules, now: Millis
) -> EventDraft:
    """It is the customer's last word, also when clocks differ."""
    before = documents.trait_times.get(COMMUNICATION)
    time = now if before is None else max(now, int(before[1]) + 1)
    priority = rules.trait_priority(SOURCE, COMMUNICATION)
    if before is not None:
        priority = max(priority, int(before[0]))
    message_id = content_id("w", profile.id, time)
    place = (_NO_PARTITION, fingerprint(message_id.encode()))
    stated = Stated(time, [priority, time, time, *place, SOURCE, ZERO_PARTY], {COMMUNICATION: wanted})
    traits, _, _ = apply_stated(documents, stated)
    row = EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id=profile.id,
        source=SOURCE,
        message_id=message_id,
        type="track",
        ts=now,
        event=EVENT,
        properties=msgspec.Raw(msgspec.json.encode(wanted)),
        traits=traits,
        user_id=profile.user_id,
        received_at=now,
    )
    return EventDraft(NO_INPUT, None, row, stated=stated)
