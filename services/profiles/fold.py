"""Applies a batch to the people it concerns and drafts the timeline rows (pure).

Two passes, since most events need no more of a profile than who it is: `locate` tells whose each event is, `fold`
writes traits, consents and tags; meanwhile the documents of `in_need` are loaded. A draft is a row without its
numbers: those are given under the counters' locks (`sequence.py`).
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from headrace.contracts.identifiers import EMAIL, PHONE
from headrace.contracts.ids import profile_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus, EventRow
from services.profiles.consent import Proof
from services.profiles.identity import Identifier, People, Refusal
from services.profiles.intake import Incoming
from services.profiles.profile import Documents, Profile
from services.profiles.stated import Stated, apply_stated

_DOUBTED = frozenset({"apart", "public_key"})


class InputClock(msgspec.Struct, frozen=True, gc=False):
    """Where its input partition stood. `time`: the running maximum of log times, this record's included.
    `processed`: the same before this record, up to where everything was applied."""

    time: Millis
    processed: Millis


class EventDraft(msgspec.Struct, frozen=True, gc=False):
    """`identifiers` are the event's own, `stated` what it says, changed or not; None when it says nothing.
    `proof`: of the consents that it states."""

    clock: InputClock
    traceparent: str | None
    row: EventRow
    identifiers: tuple[Identifier, ...] = ()
    stated: Stated | None = None
    proof: Proof | None = None


class MergeDraft(msgspec.Struct, frozen=True, gc=False):
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
    tags: dict[str, bool] = {}


class UnmergeDraft(msgspec.Struct, frozen=True, gc=False):
    """Becomes an unmerge row on the partition of `profile_id` and a split row on `into`'s, the new profile's.
    `taken`: what changed on `profile_id`; `given`: all that `into` has; `more`: others of this profile follow."""

    id: str
    profile_id: str
    into: str
    source: str
    message_id: str
    taken: tuple[dict[str, Any], dict[str, ConsentStatus | None], dict[str, bool]]
    given: tuple[dict[str, Any], dict[str, ConsentStatus], dict[str, bool]]
    user_id: str | None
    into_user_id: str | None
    more: bool = False


Draft = EventDraft | MergeDraft | UnmergeDraft


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A record of the batch that was not seen before, and its input's clock at it."""

    incoming: Incoming
    clock: InputClock


class Located(msgspec.Struct, frozen=True, gc=False):
    """Whose a record is. `losers` merged into `profile` because of it; `user_id` is the profile's after it.
    `refusals` and `brought` as in `identity.Resolution`."""

    arrival: Arrival
    profile: Profile
    losers: Sequence[Profile]
    user_id: str | None
    refusals: Sequence[Refusal] = ()
    brought: Sequence[tuple[Identifier, Identifier]] = ()


def locate(arrivals: Iterable[Arrival], people: People) -> list[Located]:
    """Find, create or connect the people, in order. An outcome for somebody who is gone (erased) is left out."""
    located = []
    for arrival in arrivals:
        incoming = arrival.incoming
        if incoming.addressed_to is not None:
            profile = people.profile(incoming.addressed_to)
            if profile is not None:
                located.append(Located(arrival, profile, (), profile.user_id))
            continue
        profile, losers, refusals, brought = people.resolve(
            incoming.identifiers,
            partial(profile_id, *incoming.key),
            incoming.ts,
            trusted=incoming.trusted,
        )
        profile.saw(incoming.ts, incoming.time_zone)
        located.append(Located(arrival, profile, losers, profile.user_id, refusals, brought))
    return located


def in_need(located: Iterable[Located]) -> Collection[Profile]:
    """The profiles whose documents `fold` reads or writes."""
    found: dict[str, Profile] = {}
    for one in located:
        incoming = one.arrival.incoming
        if one.losers or incoming.traits or incoming.consents or incoming.tags:
            found[one.profile.id] = one.profile
            found.update((loser.id, loser) for loser in one.losers)
    return found.values()


def fold(located: Iterable[Located]) -> list[Draft]:
    """Apply in order."""
    drafts: list[Draft] = []
    for one in located:
        drafts.extend(_merge_draft(one, loser) for loser in one.losers)
        drafts.append(_event_draft(one))
    return drafts


def _merge_draft(one: Located, loser: Profile) -> MergeDraft:
    traits, consents, tags = _documents(one.profile).absorb(_documents(loser))
    source, message_id = one.arrival.incoming.key
    return MergeDraft(
        clock=one.arrival.clock,
        traceparent=one.arrival.incoming.traceparent,
        winner=one.profile.id,
        loser=loser.id,
        source=source,
        message_id=message_id,
        traits=traits,
        consents=consents,
        user_id=one.user_id,
        tags=tags,
    )


def _event_draft(one: Located) -> EventDraft:
    incoming = one.arrival.incoming
    row = msgspec.structs.replace(incoming.row, profile_id=one.profile.id, user_id=one.user_id)
    stated = None
    if incoming.traits or incoming.consents or incoming.tags:
        said = (_believed(incoming.traits, one.refusals), incoming.consents, incoming.tags, incoming.ranks)
        stated = Stated(incoming.ts, incoming.stamp, *said)
        traits, consents, tags = apply_stated(_documents(one.profile), stated)
        row = msgspec.structs.replace(row, traits=traits, consents=consents, tags=tags)
    return EventDraft(one.arrival.clock, incoming.traceparent, row, incoming.identifiers, stated, incoming.proof)


def _believed(traits: dict[str, Any], refusals: Sequence[Refusal]) -> dict[str, Any]:
    """Without an address that is another customer's by what was taken apart, or by more than a public key's word:
    what is sent to it would reach somebody else."""
    if not refusals:
        return traits  # as nearly all
    doubted = {refusal.dropped[0] for refusal in refusals if refusal.rule in _DOUBTED} & {EMAIL, PHONE}
    return {name: value for name, value in traits.items() if name not in doubted} if doubted else traits


def _documents(profile: Profile) -> Documents:
    assert profile.documents is not None, "in_need told to load them"
    return profile.documents
