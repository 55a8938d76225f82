"""What one event says about a customer, whatever has become of it since (pure).

A row's `traits`, `consents` and `tags` are what changed when it was applied; after an unmerge another customer's
events do not count any more, and what they had outweighed counts again. So each event's own words are kept.
"""

from typing import Any

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus
from services.profiles.consent import apply_consent
from services.profiles.profile import Documents
from services.profiles.tags import apply_tags
from services.profiles.traits import Stamp, apply_traits

Changes = tuple[dict[str, Any], dict[str, ConsentStatus], dict[str, bool]]
"""Traits, consents and tags that are others than before."""


class Stated(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`ts` is when it counts, `stamp` how its traits rank among others', `ranks` the priority of those where it is
    another than the stamp's."""

    ts: Millis
    stamp: Stamp = []
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus] = {}
    tags: dict[str, bool] = {}
    ranks: dict[str, int] = {}


def apply_stated(documents: Documents, stated: Stated) -> Changes:
    """Write it; the order in which several are written does not matter."""
    return (
        apply_traits(documents.traits, documents.trait_times, stated.traits, stated.stamp, stated.ranks),
        apply_consent(documents.consents, stated.consents, stated.ts),
        apply_tags(documents.tags, documents.tag_times, stated.tags, stated.ts),
    )
