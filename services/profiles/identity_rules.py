"""Which identifiers decide, how many of each a customer may have, and which values identify nobody (ADR 12).

The rules are one settings file, `HEADRACE_IDENTITY` (YAML); what it does not say stays as here. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec
import re2

from headrace.contracts.identifiers import ANONYMOUS_ID, EMAIL, PHONE, USER_ID
from headrace.contracts.instant import Millis

DAY: Millis = 86_400_000
HOUR: Millis = 3_600_000
Party = Literal["zero", "first", "second", "third"]

DEVICE = "device"
"""Key of the rule for identifiers of devices: `device.id`, `ios.id`, …, `*.idfa`, `*.push_token`."""
OTHER = "other"
"""Key of the rule for every type that has none."""
_SYSTEMS = ("device", "android", "ios", "ipados", "tvos", "watchos", "macos", "windows", "linux", "web")
_DEVICE_IDS = frozenset(f"{system}.id" for system in _SYSTEMS)
_DEVICE_ENDINGS = (".idfa", ".idfv", ".advertising_id", ".push_token")


class TypeRule(msgspec.Struct, frozen=True):
    """`priority`: the lower decides. `hard`: two values are two customers. `limit`: values a profile may have, of
    those first seen `within` so many ms before an event (None: ever)."""

    priority: int = 50
    hard: bool = False
    limit: int = 5
    within: Millis | None = 365 * DAY
    weak: bool = False
    """It stands for a browser or a device, which several people may use."""


class Quarantine(msgspec.Struct, frozen=True):
    """An identifier that leads to more than `links` further ones `within` so many ms, or stands between as many
    strangers, says no more who somebody is."""

    links: int = 20
    within: Millis = HOUR


class SourceRule(msgspec.Struct, frozen=True):
    """`region`: the ISO country whose national phone numbers a source sends. `party`: whose word its traits are,
    and `trait_priority` how much it counts: a higher one outranks a later one."""

    region: str | None = None
    party: Party = "first"
    trait_priority: int = 0


_DEFAULTS: Mapping[str, TypeRule] = {
    USER_ID: TypeRule(priority=1, hard=True, limit=1, within=None),
    EMAIL: TypeRule(priority=2),
    PHONE: TypeRule(priority=3),
    OTHER: TypeRule(),
    ANONYMOUS_ID: TypeRule(priority=90, limit=100, weak=True),
    DEVICE: TypeRule(priority=95, weak=True),
}
_NO_SOURCE = SourceRule()


class Blocked(msgspec.Struct, frozen=True):
    """Values that identify nobody: these, in lower case, and what one of the patterns (RE2) matches whole."""

    values: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()


class IdentityRules:
    """`blocked` is by type, and under `*` for all types. `trait_sources`: by trait, the sources whose word counts
    more than others', the one that counts most first; of these traits it alone decides."""

    def __init__(
        self,
        types: Mapping[str, TypeRule] | None = None,
        *,
        blocked: Mapping[str, Blocked] | None = None,
        quarantine: Quarantine | None = None,
        sources: Mapping[str, SourceRule] | None = None,
        trait_sources: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.types = {**_DEFAULTS, **(types or {})}
        self.quarantine = quarantine or Quarantine()
        self._sources = dict(sources or {})
        self._trait_ranks = {
            trait: {source: len(named) - place for place, source in enumerate(named)}
            for trait, named in (trait_sources or {}).items()
        }
        self._blocked = {kind: (one.values, _compiled(one.patterns)) for kind, one in (blocked or {}).items()}
        self.of = lru_cache(maxsize=4_096)(self._of)
        self.rank = lru_cache(maxsize=4_096)(self._rank)

    def source(self, name: str) -> SourceRule:
        return self._sources.get(name, _NO_SOURCE)

    def trait_priority(self, source: str, trait: str) -> int:
        """What the word of a source counts on a trait."""
        ranks = self._trait_ranks.get(trait)
        return self.source(source).trait_priority if ranks is None else ranks.get(source, 0)

    def overruled(self, source: str, traits: Iterable[str]) -> dict[str, int]:
        """The priorities of those of the traits that have sources of their own."""
        if not self._trait_ranks:
            return {}
        return {trait: self.trait_priority(source, trait) for trait in traits if trait in self._trait_ranks}

    def is_blocked(self, kind: str, value: str) -> bool:
        """Whether the canonical value identifies nobody."""
        if not self._blocked:
            return False
        folded = value.lower()
        return any(
            folded in values or any(pattern.fullmatch(value) for pattern in patterns)
            for values, patterns in (self._blocked[key] for key in (kind, "*") if key in self._blocked)
        )

    def _of(self, kind: str) -> TypeRule:
        if (rule := self.types.get(kind)) is not None:
            return rule
        is_device = kind in _DEVICE_IDS or kind.endswith(_DEVICE_ENDINGS)
        return self.types[DEVICE if is_device else OTHER]

    def _rank(self, kind: str) -> tuple[int, str]:
        """What orders identifiers, the one that decides first."""
        return self.of(kind).priority, kind


def _compiled(patterns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(re2.compile(pattern) for pattern in patterns)


DEFAULT_RULES = IdentityRules()
