"""A customer as the messenger sees one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.messenger.consent import Consent


@dataclass(frozen=True, slots=True)
class Customer:
    """A live profile. `id` is its root: what the ids of merged profiles resolve to. `suppressed`: it asked
    to hear nothing."""

    id: str
    traits: Mapping[str, Any]
    computed: Mapping[str, Any]
    tags: Sequence[str]
    consents: Mapping[str, Consent]
    identifiers: Sequence[Mapping[str, Any]]
    time_zone: str | None
    suppressed: bool = False
