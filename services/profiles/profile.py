"""A customer's record as the worker holds it during a batch."""

from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus
from services.profiles.consent import Consent, merge_consent
from services.profiles.traits import Stamp, merge_traits


@dataclass(slots=True, eq=False)
class Profile:
    """`trait_times` holds the stamp of every trait ever written, `time_zone` the last seen [time, IANA name]."""

    id: str
    first_seen: Millis
    last_seen: Millis
    user_id: str | None = None
    traits: dict[str, Any] = field(default_factory=dict)
    trait_times: dict[str, Stamp] = field(default_factory=dict)
    consents: dict[str, Consent] = field(default_factory=dict)
    computed: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    time_zone: str | None = None
    time_zone_at: Millis = 0
    merged_into: str | None = None

    def saw(self, ts: Millis, time_zone: str | None) -> None:
        """The customer did something at `ts`."""
        self.first_seen = min(self.first_seen, ts)
        self.last_seen = max(self.last_seen, ts)
        if time_zone is not None:
            self._take_time_zone(ts, time_zone)

    def absorb(self, loser: "Profile") -> tuple[dict[str, Any], dict[str, ConsentStatus]]:
        """Take over everything of a merged profile; return the traits and consents that changed here."""
        traits = merge_traits(self.traits, self.trait_times, loser.traits, loser.trait_times)
        consents = merge_consent(self.consents, loser.consents)
        self.first_seen = min(self.first_seen, loser.first_seen)
        self.last_seen = max(self.last_seen, loser.last_seen)
        self.user_id, loser.user_id = self.user_id or loser.user_id, None
        self.computed = {**loser.computed, **self.computed}
        self.tags = sorted({*self.tags, *loser.tags})
        if loser.time_zone is not None:
            self._take_time_zone(loser.time_zone_at, loser.time_zone)
        loser.merged_into = self.id
        return traits, consents

    def _take_time_zone(self, at: Millis, name: str) -> None:
        if self.time_zone is None or (at, name) > (self.time_zone_at, self.time_zone):
            self.time_zone, self.time_zone_at = name, at
