"""Segment's reserved traits in both spellings, `firstName` and `first_name` (pure).

Traits are kept as they were sent, so the two are two traits. Whoever reads a profile finds a reserved trait under
either name, unless the customer has both: those stay what they are.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from services.profiles.traits import whole_stamp

Spelling = Literal["both", "sent", "camel", "snake"]
Path = tuple[str, ...]

_PAIRS: tuple[tuple[Path, Path], ...] = (
    (("firstName",), ("first_name",)),
    (("lastName",), ("last_name",)),
    (("createdAt",), ("created_at",)),
    (("address", "postalCode"), ("address", "postal_code")),
    (("company", "employeeCount"), ("company", "employee_count")),
)
_OTHER: Mapping[Path, Path] = dict(_PAIRS) | {snake: camel for camel, snake in _PAIRS}


def other_spelling(path: Path) -> Path | None:
    """The same reserved trait by its other name; None where there is none."""
    return _OTHER.get(path)


def spelled(traits: Mapping[str, Any], times: Mapping[str, Any], spelling: Spelling) -> dict[str, Any]:
    """The traits with the reserved ones in this spelling. Where the customer has both and one is asked for, it is
    what decides by the stamp of each trait (`times`), within one trait the spelling asked for."""
    found = dict(traits)
    if spelling == "sent":
        return found
    for camel, snake in _PAIRS:
        holder = found if len(camel) == 1 else found.get(camel[0])
        if not isinstance(holder, dict):
            continue
        filled = _filled(holder, camel[-1], snake[-1], spelling, times if len(camel) == 1 else {})
        if len(camel) == 1:
            found = filled
        else:
            found[camel[0]] = filled
    return found


def _filled(
    holder: dict[str, Any], camel: str, snake: str, spelling: Spelling, times: Mapping[str, Any]
) -> dict[str, Any]:
    present = [name for name in (camel, snake) if name in holder]
    if not present:
        return holder
    if spelling == "both":
        return {camel: holder[present[0]], snake: holder[present[-1]]} | holder
    wanted = camel if spelling == "camel" else snake
    decides = max(present, key=lambda name: (whole_stamp(times.get(name, [])), name == wanted))
    return {name: value for name, value in holder.items() if name not in present} | {wanted: holder[decides]}


def spellings(path: Path) -> Iterator[Path]:
    """The path, and the same by its other name."""
    yield path
    other = other_spelling(path)
    if other is not None:
        yield other
