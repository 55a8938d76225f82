"""Applies a batch to the people it concerns and drafts the timeline rows (pure).

A draft is a row without its numbers: those are given under the counters' locks (`sequence.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.contracts.ids import profile_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus, EventRow
from services.profiles.consent import apply_consent
from services.profiles.identity import People
from services.profiles.intake import Incoming
from services.profiles.profile import Profile
from services.profiles.traits import apply_traits


@dataclass(frozen=True, slots=True)
class InputClock:
    """Where its input partition stood. `time`: the running maximum of log times, this record's included.
    `processed`: the same before this record, up to where everything was applied."""

    time: Millis
    processed: Millis


@dataclass(frozen=True, slots=True)
class EventDraft:
    clock: InputClock
    traceparent: str | None
    row: EventRow


@dataclass(frozen=True, slots=True)
class MergeDraft:
    """Becomes a tombstone on the loser's partition and a merge row on the winner's."""

    clock: InputClock
    traceparent: str | None
    winner: str
    loser: str
    source: str
    message_id: str
    traits: dict[str, Any]
    consents: dict[str, ConsentStatus]
    user_id: str | None


Draft = EventDraft | MergeDraft


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record of the batch that was not seen before, and its input's clock at it."""

    incoming: Incoming
    clock: InputClock


def fold(arrivals: Iterable[Arrival], people: People) -> list[Draft]:
    """Apply in order. An outcome for somebody who is gone (erased) leaves no row."""
    drafts: list[Draft] = []
    for arrival in arrivals:
        if arrival.incoming.addressed_to is not None:
            drafts.extend(_fold_outcome(arrival, people))
        else:
            drafts.extend(_fold_event(arrival, people))
    return drafts


def _fold_event(arrival: Arrival, people: People) -> list[Draft]:
    incoming, drafts = arrival.incoming, list[Draft]()
    resolution = people.resolve(incoming.identifiers, lambda: profile_id(*incoming.key), incoming.ts)
    profile = resolution.profile
    for loser in resolution.losers:
        traits, consents = profile.absorb(loser)
        source, message_id = incoming.key
        drafts.append(
            MergeDraft(
                clock=arrival.clock,
                traceparent=incoming.traceparent,
                winner=profile.id,
                loser=loser.id,
                source=source,
                message_id=message_id,
                traits=traits,
                consents=consents,
                user_id=profile.user_id,
            )
        )
    profile.saw(incoming.ts, incoming.time_zone)
    drafts.append(_event_draft(arrival, profile))
    return drafts


def _fold_outcome(arrival: Arrival, people: People) -> list[Draft]:
    profile = people.profile(arrival.incoming.addressed_to or "")
    return [] if profile is None else [_event_draft(arrival, profile)]


def _event_draft(arrival: Arrival, profile: Profile) -> EventDraft:
    incoming = arrival.incoming
    row = msgspec.structs.replace(
        incoming.row,
        profile_id=profile.id,
        traits=apply_traits(profile.traits, profile.trait_times, incoming.traits, incoming.stamp),
        consents=apply_consent(profile.consents, incoming.consents, incoming.ts),
        user_id=profile.user_id,
    )
    return EventDraft(arrival.clock, incoming.traceparent, row)
