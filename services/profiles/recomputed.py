"""A customer's documents and dates from the events that are its own, as if there had never been others (pure)."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from headrace.contracts.identifiers import EMAIL, PHONE
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus
from services.profiles.identity import Identifier
from services.profiles.past_event import PastEvent
from services.profiles.profile import Documents, Profile
from services.profiles.stated import Stated, apply_stated

Taken = tuple[dict[str, Any], dict[str, ConsentStatus | None], dict[str, bool]]


def documents_of(events: Iterable[PastEvent], taken_out: Collection[Identifier] = ()) -> Documents:
    """What the events say; the order in which they are given does not matter. An address that was `taken_out` of
    the customer is no trait of it either, though its own events name it."""
    documents = Documents()
    for event in events:
        if event.stated is not None:
            apply_stated(documents, _without(event, taken_out))
    return documents


def _without(event: PastEvent, taken_out: Collection[Identifier]) -> Stated:
    assert event.stated is not None, "asked before"
    doubted = {one[0] for one in event.identifiers if one in taken_out} & {EMAIL, PHONE}
    if not doubted:
        return event.stated
    traits = {name: value for name, value in event.stated.traits.items() if name not in doubted}
    return msgspec.structs.replace(event.stated, traits=traits)


def date(profile: Profile, events: Iterable[PastEvent], named: Collection[Millis]) -> None:
    """Set when the profile was seen, and its time zone. Events that name nobody (outcomes) saw nobody. `named`:
    when its identifiers were first seen, which stands where no event is left to say it."""
    seen = [event for event in events if event.identifiers]
    times = [event.ts for event in seen] or named
    profile.first_seen, profile.last_seen = min(times), max(times)
    profile.time_zone, profile.time_zone_at = None, 0
    for event in seen:
        profile.saw(event.ts, event.time_zone)


def differences(before: Documents, after: Documents) -> Taken:
    """What is another, null (false for tags) where nothing is left."""
    traits = {
        name: after.traits.get(name)
        for name in sorted(before.traits.keys() | after.traits.keys())
        if name not in before.traits
        or name not in after.traits
        or (type(before.traits[name]), before.traits[name]) != (type(after.traits[name]), after.traits[name])
    }
    consents = {
        channel: (after.consents[channel]["status"] if channel in after.consents else None)
        for channel in sorted(before.consents.keys() | after.consents.keys())
        if channel not in before.consents
        or channel not in after.consents
        or before.consents[channel]["status"] != after.consents[channel]["status"]
    }
    tags = {name: name in after.tags for name in sorted({*before.tags} ^ {*after.tags})}
    return traits, consents, tags


def contents(documents: Documents) -> tuple[dict[str, Any], dict[str, ConsentStatus], dict[str, bool]]:
    """All of it, as a first row says it."""
    statuses = {channel: consent["status"] for channel, consent in documents.consents.items()}
    return documents.traits, statuses, dict.fromkeys(documents.tags, True)
