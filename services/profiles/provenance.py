"""Where a trait comes from, and what the word of its source counts (pure)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from services.profiles.traits import Stamp, whole_stamp

ZERO_PARTY = "zero"
"""What a customer says of themselves on purpose. First-party is what a shop sees, second- and third-party what
others tell it."""


class Standing(Protocol):
    """`party`: zero, first, second or third. `trait_priority`: what has the higher one outranks what is later."""

    @property
    def party(self) -> str: ...

    @property
    def trait_priority(self) -> int: ...


StandingOf = Callable[[str], Standing]
"""By a source's name."""


class _FirstParty(NamedTuple):
    party: str = "first"
    trait_priority: int = 0


_FIRST_PARTY = _FirstParty()


def as_first_party(source: str) -> Standing:
    """Of every source when nobody says otherwise."""
    return _FIRST_PARTY


def of_zero_party(stamp: Stamp) -> Stamp:
    """The stamp of an answer, whoever passed it on."""
    return [*stamp[:-1], ZERO_PARTY]


def provenance(traits: Mapping[str, Any], stamps: Mapping[str, Stamp]) -> dict[str, dict[str, Any]]:
    """`{trait: {value, party, source, time}}`; the time is when it was said. `source` is null for what was written
    before sources were kept."""
    found = {}
    for name in sorted(traits):
        _, time, *_, source, party = whole_stamp(stamps[name])
        found[name] = {"value": traits[name], "party": party, "source": source or None, "time": time}
    return found
