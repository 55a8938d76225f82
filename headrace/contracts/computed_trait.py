"""Value of `cdp.computed-traits.v1`: a customer's computed trait has another value. A superset of Segment's
"identify" call."""

from typing import Any, Literal

import msgspec

TraitReason = Literal["event", "time", "definition", "merge", "unmerge", "import", "erasure", "repair"]


class TraitProfile(msgspec.Struct, frozen=True):
    id: str


class TraitChange(msgspec.Struct, kw_only=True, frozen=True):
    """Which definition says so, and why now. `sequence` rises, not densely, per profile and trait within an epoch:
    whoever keeps the highest (epoch, sequence) may pass an older record over."""

    id: str
    version: int
    reason: TraitReason
    sequence: int


class ComputedTrait(msgspec.Struct, kw_only=True, rename="camel"):
    """A new value of one computed trait. Consumers dedupe on `messageId`.

    `traits` holds [trait id]: its value; null says that there is none any more. `context.personas` names the
    computation as Segment does.
    """

    type: Literal["identify"] = "identify"
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    timestamp: str
    traits: dict[str, Any]
    context: dict[str, Any]
    profile: TraitProfile
    trait: TraitChange
