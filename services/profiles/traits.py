"""Last writer wins, per trait, by event time.

A stamp is [event time, log time, input partition, offset]: fixed when the log took the record. At equal event
times the record that the log took later wins, so the result does not depend on the order of processing:
the merge is commutative, associative and idempotent. A removed trait leaves its stamp behind, so that an
older event does not bring it back.

Trait names are the sender's: `firstName` and `first_name` are two traits.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

Stamp = list[int]

MAX_TRAITS = 1_000
"""Names per profile, removed ones included. Further new names are ignored."""

_encode = msgspec.json.encode


def apply_traits(
    traits: dict[str, Any], stamps: dict[str, Stamp], changes: Mapping[str, Any], stamp: Stamp
) -> dict[str, Any]:
    """Write `changes` (None removes) at `stamp`; return the traits whose value really changed."""
    return {name: value for name, value in changes.items() if _put(traits, stamps, name, value, stamp)}


def merge_traits(
    traits: dict[str, Any],
    stamps: dict[str, Stamp],
    other_traits: Mapping[str, Any],
    other_stamps: Mapping[str, Stamp],
) -> dict[str, Any]:
    """Take over from another profile what was written later there; return what changed here."""
    return {
        name: other_traits.get(name)
        for name, stamp in other_stamps.items()
        if _put(traits, stamps, name, other_traits.get(name), stamp)
    }


def _put(traits: dict[str, Any], stamps: dict[str, Stamp], name: str, value: Any, stamp: Stamp) -> bool:
    old = stamps.get(name)
    if old is None:
        if len(stamps) >= MAX_TRAITS:
            return False
    elif old >= stamp:
        return False
    stamps[name] = stamp
    if value is None:
        return traits.pop(name, None) is not None
    before = traits.get(name)
    traits[name] = value
    return before is None or _encode(before) != _encode(value)
