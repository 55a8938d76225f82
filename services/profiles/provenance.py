"""Where a trait comes from (pure)."""

from collections.abc import Mapping
from typing import Any

from services.profiles.traits import Stamp, whole_stamp

ZERO_PARTY = "zero"
"""What a customer says of themselves on purpose. First-party is what a shop sees, second- and third-party what
others tell it."""


def provenance(traits: Mapping[str, Any], stamps: Mapping[str, Stamp]) -> dict[str, dict[str, Any]]:
    """`{trait: {value, party, source, time}}`; the time is when it was said. `source` is null for what was written
    before sources were kept."""
    found = {}
    for name in sorted(traits):
        _, time, *_, source, party = whole_stamp(stamps[name])
        found[name] = {"value": traits[name], "party": party, "source": source or None, "time": time}
    return found
