"""A town of customers without a store: batches of events go through identity resolution, shared identifiers into
quarantine, and what those had held together is taken apart."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from headrace.contracts.instant import Millis
from services.profiles.components import Evidence, apart_without
from services.profiles.fold import Arrival, InputClock, Located
from services.profiles.identity import Identifier, People, Refusal, Sides, own_profile, strongest_first
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.intake import Incoming
from services.profiles.profile import Profile
from services.profiles.suspicion import Note, is_shared, suspicions
from tests.unit.profiles.test_intake import NOW, read


class Seen(NamedTuple):
    """An event: what it names, when, and whether its key is not public."""

    identifiers: tuple[Identifier, ...]
    ts: Millis
    trusted: bool = True


@dataclass
class Town:
    """What a store would keep. `owners`: whose each identifier is; `events`: each with its profile at the time."""

    rules: IdentityRules = DEFAULT_RULES
    apart: Sides = field(default_factory=dict)
    owners: dict[Identifier, str] = field(default_factory=dict)
    trusted: set[Identifier] = field(default_factory=set)
    first_seen: dict[Identifier, Millis] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    dates: dict[str, Millis] = field(default_factory=dict)
    notes: dict[Identifier, dict[Identifier, Note]] = field(default_factory=lambda: defaultdict(dict))
    quarantined: dict[Identifier, Millis] = field(default_factory=dict)
    events: list[tuple[Seen, str]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def apply(self, batch: Sequence[Seen]) -> None:
        """One transaction."""
        people = self._people({found for one in batch for found in one.identifiers})
        located = []
        for one in batch:
            new_id = f"p{next(self._numbers):06}"
            named = strongest_first(one.identifiers, self.rules)
            resolution = people.resolve(named, lambda new_id=new_id: new_id, one.ts, trusted=one.trusted)  # type: ignore[misc]
            resolution.profile.saw(one.ts, None)
            self.events.append((one, resolution.profile.id))
            self.refusals += resolution.refusals
            located.append(_located(one, resolution.profile, resolution.refusals, resolution.brought))
        self._keep(people, batch)
        self._suspect(located)

    def root(self, found: Identifier) -> str | None:
        owner = self.owners.get(found)
        return self.live(owner) if owner is not None else None

    def groups(self) -> dict[str, set[Identifier]]:
        """The identifiers of each profile."""
        groups: dict[str, set[Identifier]] = defaultdict(set)
        for found, owner in self.owners.items():
            groups[self.live(owner)].add(found)
        return groups

    def take_apart(self) -> None:
        """What the loop beside the worker does with all that is in quarantine."""
        for out, at in self.quarantined.items():
            root = self.root(out)
            assert root is not None
            owned = dict.fromkeys(self.groups()[root], root)
            rows = [
                Evidence((0, seq), root, strongest_first(seen.identifiers, self.rules))
                for seq, (seen, profile_id) in enumerate(self.events)
                if self.live(profile_id) == root
            ]
            *parts, _ = apart_without(out, owned, rows, lambda one: (self.rules.rank(one[0]), one[1]))
            for number, part in enumerate(parts):
                self.owners.update(dict.fromkeys(part.identifiers, f"{own_profile(out, at)}-{number}"))
            self.owners[out] = own_profile(out, at)

    def live(self, profile_id: str) -> str:
        """The profile that this one is or went into."""
        return self.aliases.get(profile_id, profile_id)

    def _people(self, named: Iterable[Identifier]) -> People:
        owners = {found: self.owners.get(found) for found in named}
        groups = self.groups()
        roots = {self.live(owner) for owner in owners.values() if owner is not None}
        profiles = [self._profile(root, groups[root]) for root in roots]
        return People(
            owners,
            profiles,
            dict(self.aliases),
            rules=self.rules,
            quarantined=self.quarantined,
            apart=self.apart,
        )

    def _profile(self, root: str, identifiers: set[Identifier]) -> Profile:
        seen = self.dates.get(root, 0)
        profile = Profile(root, seen, seen, names={})
        for kind, value in identifiers:
            profile.gain(kind, value, self.first_seen[kind, value])
            if kind == "user_id":
                profile.user_id = value
            profile.known |= (kind, value) in self.trusted and not self.rules.of(kind).weak
        return profile

    def _keep(self, people: People, batch: Sequence[Seen]) -> None:
        self.owners.update({found: owner for found, owner in people.owners.items() if owner is not None})
        self.dates.update({profile.id: profile.first_seen for profile in people.profiles()})
        for loser, winner in people.merged:
            self.aliases = {one: winner if root == loser else root for one, root in self.aliases.items()}
            self.aliases[loser] = winner
        for seen in batch:
            for found in seen.identifiers:
                self.first_seen[found] = min(seen.ts, self.first_seen.get(found, seen.ts))
                if seen.trusted:
                    self.trusted.add(found)

    def _suspect(self, located: Iterable[Located]) -> None:
        for one in suspicions(located, self.rules):
            notes = self.notes[one.link]
            known = notes.get(one.other)
            if known is None or one.refused > known.refused:
                notes[one.other] = Note(one.other[0], one.at, one.refused)
            if one.link in self.owners and is_shared(notes.values(), self.rules.quarantine):
                self.quarantined.setdefault(one.link, one.at)


_EVENT = read("track", event="X", user_id="u")


def _located(
    seen: Seen,
    profile: Profile,
    refusals: Sequence[Refusal],
    brought: Sequence[tuple[Identifier, Identifier]],
) -> Located:
    incoming = Incoming(key=("shop", "m"), row=_EVENT.row, ts=seen.ts, body_hash=0, traceparent=None, stamp=[])
    clock = InputClock(time=NOW, processed=NOW)
    return Located(Arrival(incoming, clock), profile, (), None, refusals, brought)
