"""Who is it: identity resolution over the identifiers of one batch (tracking-api.md §1.8).

A profile is known when it has a user id. Two known profiles never become one: where an event's identifiers
lead to different known customers, the event stays with the strongest identifier and the weaker ones stay
where they are. Otherwise everything that an event names belongs to one profile; profiles it connects merge.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace.contracts.identifiers import USER_ID
from headrace.contracts.instant import Millis
from services.profiles.normalise import priority
from services.profiles.profile import Profile

Identifier = tuple[str, str]
"""(type, normalised value)"""


class Resolution(NamedTuple):
    """The event belongs to `profile`; `losers` were merged into it, in this order."""

    profile: Profile
    losers: Sequence[Profile]


def strongest_first(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """In the order in which they decide whose an event is."""
    return tuple(sorted(identifiers, key=_strength))


class People:
    """The profiles and identifiers that a batch touches. `owners` has every identifier of the batch, with the
    id of its profile, or None when nobody has it; `aliases` leads from merged ids to live profiles."""

    def __init__(
        self,
        owners: Mapping[Identifier, str | None],
        profiles: Iterable[Profile],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.owners = dict(owners)
        self._aliases = aliases or {}
        self._profiles = {profile.id: profile for profile in profiles}
        self.merged: list[tuple[str, str]] = []
        """(loser, winner) in order."""

    def profile(self, profile_id: str) -> Profile | None:
        """The live profile that `profile_id` is or went into."""
        profile = self._profiles.get(self._aliases.get(profile_id, profile_id))
        while profile is not None and profile.merged_into is not None:
            profile = self._profiles[profile.merged_into]
        return profile

    def profiles(self) -> Iterable[Profile]:
        return self._profiles.values()

    def resolve(self, identifiers: Sequence[Identifier], new_id: Callable[[], str], ts: Millis) -> Resolution:
        """Find, create (as `new_id`) or connect the profile of an event that counts at `ts`. `identifiers`:
        the strongest first. New ones belong to the profile from now on."""
        matched = self._match(identifiers)
        if not matched:
            matched = [self._create(new_id(), ts)]
        winner, *losers = sorted(matched, key=_seniority) if len(matched) > 1 else matched
        for found in identifiers:
            if self.owners[found] is None:
                self.owners[found] = winner.id
                if found[0] == USER_ID:
                    winner.user_id = found[1]
        for loser in losers:
            winner.absorb(loser)
            self.merged.append((loser.id, winner.id))
        return Resolution(winner, losers)

    def _match(self, identifiers: Sequence[Identifier]) -> list[Profile]:
        """The profiles of the identifiers, strongest first, without those of another known customer."""
        kind, value = identifiers[0]
        user_id = value if kind == USER_ID else None
        matched: list[Profile] = []
        for found in identifiers:
            owner = self.owners[found]
            profile = self.profile(owner) if owner is not None else None
            if profile is None or profile in matched:
                continue
            if profile.user_id is not None:
                if user_id is not None and profile.user_id != user_id:
                    continue
                user_id = profile.user_id
            matched.append(profile)
        return matched

    def _create(self, new_id: str, ts: Millis) -> Profile:
        profile = Profile(id=new_id, first_seen=ts, last_seen=ts)
        self._profiles[new_id] = profile
        return profile


def _strength(found: Identifier) -> tuple[int, str, str]:
    return *priority(found[0]), found[1]


def _seniority(profile: Profile) -> tuple[bool, Millis, str]:
    return profile.user_id is None, profile.first_seen, profile.id
