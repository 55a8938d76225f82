"""Who is it: identity resolution over the identifiers of one batch (ADR 12, tracking-api.md §1.8).

The identifiers of an event lead to profiles, the strongest first. One that would put two customers into one record
is dropped from the match, and the event stays with those before it. What is left is one customer's: profiles that
it connects merge.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple

from headrace.contracts.identifiers import USER_ID
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.profile import Profile

Identifier = tuple[str, str]
"""(type, normalised value)"""
Rule = Literal["hard", "limit", "public_key", "apart", "quarantine"]
Sides = Mapping[Identifier, frozenset[tuple[str, int]]]
"""On which side of which unmerge an identifier stood: (unmerge id, side)."""


def own_profile(found: Identifier, quarantined_at: Millis) -> str:
    """Id of the profile of an identifier in quarantine: of the events that name nobody else. Each quarantine has
    another: an earlier one's may have been merged or erased."""
    return content_id("u", "quarantine", *found, quarantined_at)


class Refusal(NamedTuple):
    """`dropped` was not followed, by this rule; it leads to `other`, if to anybody. `kept`: what was stronger."""

    dropped: Identifier
    rule: Rule
    other: Profile | None
    kept: tuple[Identifier, ...]


class Resolution(NamedTuple):
    """The event belongs to `profile`; `losers` were merged into it, in this order. `brought`: pairs of an
    identifier and a further one of a type that its profile had already, which it led there."""

    profile: Profile
    losers: Sequence[Profile]
    refusals: Sequence[Refusal] = ()
    brought: Sequence[tuple[Identifier, Identifier]] = ()


def strongest_first(
    identifiers: Iterable[Identifier], rules: IdentityRules = DEFAULT_RULES
) -> tuple[Identifier, ...]:
    """In the order in which they decide whose an event is."""
    return tuple(sorted(identifiers, key=lambda found: (*rules.rank(found[0]), found[1])))


class People:
    """The profiles and identifiers that a batch touches. `owners` has every identifier of the batch, with the
    id of its profile, or None when nobody has it; `aliases` leads from merged ids to live profiles. `quarantined`
    are those that no longer say who somebody is, `apart` those that once were evidence and are none any more.

    Profiles that gain an identifier or merge have their `names` loaded.
    """

    def __init__(
        self,
        owners: Mapping[Identifier, str | None],
        profiles: Iterable[Profile],
        aliases: Mapping[str, str] | None = None,
        *,
        rules: IdentityRules = DEFAULT_RULES,
        quarantined: Iterable[Identifier] = (),
        apart: Sides | None = None,
    ) -> None:
        self.owners = dict(owners)
        self.rules = rules
        self.apart: Sides = apart or {}
        self._quarantined = frozenset(quarantined)
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

    def owner(self, found: Identifier) -> Profile | None:
        """The live profile that has it."""
        owner = self.owners[found]
        return None if owner is None else self.profile(owner)

    def resolve(
        self, identifiers: Sequence[Identifier], new_id: Callable[[], str], ts: Millis, *, trusted: bool = True
    ) -> Resolution:
        """Find, create (as `new_id`) or connect the profile of an event that counts at `ts`. `identifiers`:
        the strongest first. New ones belong to the profile from now on. `trusted`: a key that is not public
        says so."""
        speaking = identifiers
        if self._quarantined:
            speaking = [one for one in identifiers if one not in self._quarantined]
            if not speaking:
                return self._alone(identifiers[0], ts)
        if (settled := self._settled(speaking)) is not None:
            resolution = Resolution(settled, ())
        else:
            match = _Match(self, speaking, ts, trusted)
            for found in speaking:
                match.follow(found)
            resolution = self._connect(match, new_id, ts)
        if trusted and resolution.profile.names is not None:
            self._vouch(identifiers)
        return resolution

    def _settled(self, identifiers: Sequence[Identifier]) -> Profile | None:
        """The profile that has them all, as nearly always."""
        owner = self.owners[identifiers[0]]
        if owner is None or any(self.owners[one] != owner for one in identifiers):
            return None
        return self.profile(owner)

    def _connect(self, match: "_Match", new_id: Callable[[], str], ts: Millis) -> Resolution:
        matched = match.profiles or [self._create(new_id(), ts)]
        winner, *losers = sorted(matched, key=_seniority) if len(matched) > 1 else matched
        brought = self._brought(winner, match) if match.fresh or losers else ()
        for kind, value in match.fresh:
            self.owners[kind, value] = winner.id
            if kind == USER_ID:
                winner.user_id = value
            winner.gain(kind, value, ts)
        for loser in losers:
            winner.absorb(loser)
            self.merged.append((loser.id, winner.id))
        return Resolution(winner, losers, match.refusals, brought)

    def _vouch(self, identifiers: Iterable[Identifier]) -> None:
        """A key that is not public names them: whoever has one of them is known."""
        for found in identifiers:
            if (profile := self.owner(found)) is not None and not self.rules.of(found[0]).weak:
                profile.known = True

    def _alone(self, found: Identifier, ts: Millis) -> Resolution:
        """Of an event that names only what is quarantined: it has a profile of its own."""
        profile = self.owner(found)
        if profile is None:
            owner = self.owners[found]
            assert owner is not None, "whatever is quarantined was somebody's"
            profile = self._create(owner, ts)
        return Resolution(profile, ())

    def _brought(self, winner: Profile, match: "_Match") -> list[tuple[Identifier, Identifier]]:
        """What the event's known identifiers led to a profile that had one of the type already."""
        new = [*match.fresh, *(one for one in match.kept if self.owner(one) not in (None, winner))]
        old = [one for one in match.kept if self.owner(one) is winner]
        return [
            (link, one)
            for one in new
            if winner.names is not None and winner.names.get(one[0])
            for link in old
            if not self.rules.of(link[0]).hard
        ]

    def _create(self, new_id: str, ts: Millis) -> Profile:
        profile = Profile(id=new_id, first_seen=ts, last_seen=ts, names={})
        self._profiles[new_id] = profile
        return profile


class _Match:
    """One event's identifiers being followed. `kept`: those that are; `fresh`: of these, those that nobody has."""

    def __init__(self, people: People, identifiers: Sequence[Identifier], ts: Millis, trusted: bool) -> None:
        self._people = people
        self._identifiers = identifiers
        self._ts = ts
        self._trusted = trusted
        self.profiles: list[Profile] = []
        self.kept: list[Identifier] = []
        self.fresh: list[Identifier] = []
        self.refusals: list[Refusal] = []

    def follow(self, found: Identifier) -> None:
        """Take `found` into the match, or note why not."""
        profile = self._people.owner(found)
        if profile is not None and profile in self.profiles:
            self.kept.append(found)
            return
        rule = self._against(found, profile) if self.kept else None
        if rule is not None:
            self.refusals.append(Refusal(found, rule, profile, tuple(self.kept)))
            return
        self.kept.append(found)
        if profile is None:
            self.fresh.append(found)
        else:
            self.profiles.append(profile)

    def _against(self, found: Identifier, profile: Profile | None) -> Rule | None:
        """The rule that forbids to follow `found` to `profile` (None: nobody's)."""
        if profile is not None and self.profiles:
            if not self._trusted and profile.known and any(other.known for other in self.profiles):
                return "public_key"
            if self._people.apart and self._taken_apart(profile):
                return "apart"
        added = {found[0]: {found[1]: self._ts}} if profile is None else profile.names or {}
        for kind, values in added.items():
            rule = self._people.rules.of(kind)
            together = self._together(kind, values)
            if rule.hard and len(together) > 1:
                return "hard"
            begin = None if rule.within is None else self._ts - rule.within
            counted = sum(begin is None or seen > begin for seen in together.values())
            if counted > rule.limit and len(together) > len(values):
                return "limit"
        return None

    def _together(self, kind: str, values: Mapping[str, Millis]) -> dict[str, Millis]:
        """The values of a type, and when each was first seen, that all of the match would have."""
        together = dict(values)
        for profile in self.profiles:
            for value, seen in (profile.names or {}).get(kind, {}).items():
                together[value] = min(seen, together.get(value, seen))
        together.update({value: self._ts for other, value in self.fresh if other == kind})
        return together

    def _taken_apart(self, profile: Profile) -> bool:
        """Whether with some profile of the match it is connected by nothing but evidence that was refuted."""
        own = [one for one in self._identifiers if self._people.owner(one) is profile]
        return any(
            all(
                self._opposed(one, other)
                for one, other in product(own, [one for one in self.kept if self._people.owner(one) is matched])
            )
            for matched in self.profiles
        )

    def _opposed(self, one: Identifier, other: Identifier) -> bool:
        apart = self._people.apart
        return any((unmerge, 1 - side) in apart.get(other, ()) for unmerge, side in apart.get(one, ()))


def _seniority(profile: Profile) -> tuple[bool, Millis, str]:
    return profile.user_id is None, profile.first_seen, profile.id
