"""Value of `cdp.computed-traits.v1`: a superset of Segment's identify call for a computed trait."""

from typing import Any, Literal

import msgspec

from headrace.contracts.segment_change import ChangeProfile

TraitReason = Literal["event", "time", "definition", "merge", "unmerge", "import", "erasure", "repair"]


class TraitVersion(msgspec.Struct, frozen=True):
    """Which trait, as its definition's `version` has it, and why it changed. `sequence` rises per profile and
    trait within an epoch of the sender (header `headrace-epoch`)."""

    id: str
    version: int
    reason: TraitReason
    sequence: int


class ComputedTrait(msgspec.Struct, kw_only=True, rename="camel"):
    """A customer's computed trait has another value. `traits` has the one trait by its id; null means that there
    is none any more. Who keeps values keeps, per profile and trait, that of the highest (epoch, sequence)."""

    type: Literal["identify"] = "identify"
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    timestamp: str
    traits: dict[str, Any]
    context: dict[str, Any]
    profile: ChangeProfile
    trait: TraitVersion
