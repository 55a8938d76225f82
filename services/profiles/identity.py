"""Who is it: identity resolution over the identifiers of one batch (tracking-api.md §1.8).

A profile is known when it has a user id. Two known profiles never become one: where an event's identifiers
lead to different known customers, the event stays with the strongest identifier and the weaker ones stay
where they are. Otherwise everything that an event names belongs to one profile; profiles it connects merge.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.identifiers import USER_ID
from headrace.contracts.instant import Millis
from services.profiles.normalise import priority
from services.profiles.profile import Profile

Identifier = tuple[str, str]
"""(type, normalised value)"""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The event belongs to `profile`; `losers` merge into it, in this order."""

    profile: Profile
    losers: Sequence[Profile]


class People:
    """The profiles and identifiers that a batch touches. `owners` has every identifier of the batch, with the
    id of its live profile, or None when nobody has it; `aliases` leads from merged ids to live profiles."""

    def __init__(
        self,
        owners: Mapping[Identifier, str | None],
        profiles: Iterable[Profile],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._owners = dict(owners)
        self._aliases = aliases or {}
        self._profiles = {profile.id: profile for profile in profiles}
        self.attached: dict[Identifier, str] = {}
        """Identifiers that got an owner, with the profile's id at that moment (it may have merged since)."""
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

    def resolve(self, identifiers: Iterable[Identifier], new_id: Callable[[], str], ts: Millis) -> Resolution:
        """Find, create (as `new_id`) or connect the profile of an event that counts at `ts`. The losers are
        marked as the caller absorbs them; until then they are still live."""
        ordered = sorted(identifiers, key=lambda found: (priority(found[0]), found[1]))
        matched = self._match(ordered)
        if not matched:
            matched = [self._create(new_id(), ts)]
        winner, *losers = sorted(matched, key=_seniority)
        for found in ordered:
            if self._owners[found] is None:
                self._attach(found, winner)
        self.merged.extend((loser.id, winner.id) for loser in losers)
        return Resolution(winner, losers)

    def _match(self, ordered: Sequence[Identifier]) -> list[Profile]:
        """The profiles of the identifiers, strongest first, without those of another known customer."""
        user_id = next((value for kind, value in ordered if kind == USER_ID), None)
        matched: list[Profile] = []
        for found in ordered:
            owner = self._owners[found]
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

    def _attach(self, found: Identifier, profile: Profile) -> None:
        self._owners[found] = profile.id
        self.attached[found] = profile.id
        if found[0] == USER_ID:
            profile.user_id = found[1]


def _seniority(profile: Profile) -> tuple[bool, Millis, str]:
    return profile.user_id is None, profile.first_seen, profile.id
