"""A customer's record as the worker holds it during a batch."""

from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus
from services.profiles.consent import Consent, merge_consent
from services.profiles.tags import merge_tags
from services.profiles.traits import Stamp, merge_traits


@dataclass(slots=True, eq=False)
class Documents:
    """What few events change, and is loaded only for those. `trait_times` holds the stamp of every trait ever
    written, `tag_times` the time of every tag's last change. Computed traits are none of them: `computed_sql.py`
    alone writes those."""

    traits: dict[str, Any] = field(default_factory=dict)
    trait_times: dict[str, Stamp] = field(default_factory=dict)
    consents: dict[str, Consent] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    tag_times: dict[str, Millis] = field(default_factory=dict)

    def absorb(self, loser: "Documents") -> tuple[dict[str, Any], dict[str, ConsentStatus], dict[str, bool]]:
        """Take over a merged profile's; return the traits, consents and tags that changed here."""
        return (
            merge_traits(self.traits, self.trait_times, loser.traits, loser.trait_times),
            merge_consent(self.consents, loser.consents),
            merge_tags(self.tags, self.tag_times, loser.tags, loser.tag_times),
        )


@dataclass(slots=True, eq=False)
class Profile:
    """Who it is, and when it was seen; `time_zone` is the last seen IANA name. `documents` is None unless the
    batch needs them. `place` is where the store has its row, None when it is new. `names` are its identifiers by
    type, with when each was first seen, None unless the batch changes them; `known`: one of them, other than a
    browser's or a device's, was told by a key that is not public."""

    id: str
    first_seen: Millis
    last_seen: Millis
    user_id: str | None = None
    time_zone: str | None = None
    time_zone_at: Millis = 0
    merged_into: str | None = None
    documents: Documents | None = None
    place: str | None = None
    names: dict[str, dict[str, Millis]] | None = None
    known: bool = False

    def gain(self, kind: str, value: str, ts: Millis) -> None:
        """It has this identifier, seen at `ts`."""
        if self.names is None:
            self.names = {}
        values = self.names.setdefault(kind, {})
        values[value] = min(ts, values.get(value, ts))

    def saw(self, ts: Millis, time_zone: str | None) -> None:
        """The customer did something at `ts`."""
        if ts < self.first_seen:
            self.first_seen = ts
        if ts > self.last_seen:
            self.last_seen = ts
        if time_zone is not None:
            self._take_time_zone(ts, time_zone)

    def absorb(self, loser: "Profile") -> None:
        """Take over everything of a merged profile but its documents."""
        self.saw(loser.first_seen, None)
        self.saw(loser.last_seen, None)
        self.user_id, loser.user_id = self.user_id or loser.user_id, None
        if loser.time_zone is not None:
            self._take_time_zone(loser.time_zone_at, loser.time_zone)
        for kind, values in (loser.names or {}).items():
            for value, seen in values.items():
                self.gain(kind, value, seen)
        self.known = self.known or loser.known
        loser.merged_into = self.id

    def _take_time_zone(self, at: Millis, name: str) -> None:
        if self.time_zone is None or (at, name) > (self.time_zone_at, self.time_zone):
            self.time_zone, self.time_zone_at = name, at
