"""Who decides a trait, per trait: the source with the higher priority, then the later event.

A stamp is [priority, event time, log time, input partition, offset, source, party]: fixed when the log took the
record. Among sources of equal priority the later event wins, and at equal event times the record that the log took
later, so the result does not depend on the order of processing: the merge is commutative, associative and
idempotent. A removed trait leaves its stamp behind, so that an older event does not bring it back.

Trait names are the sender's: `firstName` and `first_name` are two traits.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Stamp = list[int | str]

MAX_TRAITS = 1_000
"""Names per profile, removed ones included. Further new names are ignored."""
MAX_BYTES = 256 * 1024
"""Values per profile, as JSON. What would go beyond is ignored: a merge publishes them all in one record."""

STAMP_LENGTH = 7
_NO_RANKS: Mapping[str, int] = {}

_encode = msgspec.json.encode


def whole_stamp(stamp: Stamp) -> Stamp:
    """A stamp of before sources had a priority ([event time, log time, partition, offset]) as one of today."""
    return stamp if len(stamp) == STAMP_LENGTH else [0, *stamp, "", "first"]


def apply_traits(
    traits: dict[str, Any],
    stamps: dict[str, Stamp],
    changes: Mapping[str, Any],
    stamp: Stamp,
    ranks: Mapping[str, int] = _NO_RANKS,
) -> dict[str, Any]:
    """Write `changes` (None removes) at `stamp`, those in `ranks` with that priority; return the traits whose
    value really changed."""
    if not changes:
        return {}
    whole = whole_stamp(stamp)
    stamped = {name: [rank, *whole[1:]] for name, rank in ranks.items()}
    return _write(traits, stamps, ((name, value, stamped.get(name, whole)) for name, value in changes.items()))


def merge_traits(
    traits: dict[str, Any],
    stamps: dict[str, Stamp],
    other_traits: Mapping[str, Any],
    other_stamps: Mapping[str, Stamp],
) -> dict[str, Any]:
    """Take over from another profile what was written later there; return what changed here."""
    return _write(traits, stamps, ((name, other_traits.get(name), stamp) for name, stamp in other_stamps.items()))


def _write(
    traits: dict[str, Any], stamps: dict[str, Stamp], entries: Iterable[tuple[str, Any, Stamp]]
) -> dict[str, Any]:
    room = max(0, MAX_BYTES - len(_encode(traits)))
    changed = {}
    for name, value, stamp in entries:
        old = stamps.get(name)
        if len(stamps) >= MAX_TRAITS if old is None else old >= stamp:
            continue
        before, after = _raw(traits.get(name)), _raw(value)
        growth = len(after) - len(before)
        if growth > room:
            continue
        room -= growth
        stamps[name] = stamp
        if value is None:
            traits.pop(name, None)
        else:
            traits[name] = value
        if after != before:
            changed[name] = value
    return changed


def _raw(value: Any) -> bytes:
    """Its JSON; nothing for a trait that is not there."""
    return b"" if value is None else _encode(value)
