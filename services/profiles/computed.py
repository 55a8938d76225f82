"""Computed traits as the segmenter publishes them (`cdp.computed-traits.v1`, ADR 13): what a record says, and
which of two records of a trait holds (pure). Values are passed on as they were written, so that numbers are exact.
"""

import re
from collections.abc import Iterable

import msgspec

from headrace.contracts.headers import EPOCH, header
from headrace.log.port import Record
from services.profiles.intake import Unreadable

MAX_BYTES = 64 * 1024
"""A value's, as JSON."""
_ID = re.compile(r"[a-z0-9_-]{1,64}")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_ABSENT = msgspec.Raw(b"null")

Version = tuple[int, int]
"""(epoch, sequence): the higher one holds."""


class Change(msgspec.Struct, frozen=True):
    """`value` is JSON, None where there is none any more."""

    profile_id: str
    trait_id: str
    version: Version
    value: msgspec.Raw | None


class Computed(msgspec.Struct):
    """A profile's: the values that there are, and the version of every trait that it ever had."""

    values: dict[str, msgspec.Raw] = {}
    versions: dict[str, Version] = {}

    def apply(self, change: Change) -> bool:
        """Whether it changed anything."""
        known = self.versions.get(change.trait_id)
        if known is not None and known >= change.version:
            return False
        self.versions[change.trait_id] = change.version
        if change.value is None:
            self.values.pop(change.trait_id, None)
        else:
            self.values[change.trait_id] = change.value
        return True


class _Trait(msgspec.Struct):
    id: str
    sequence: int


class _Profile(msgspec.Struct):
    id: str


class _Value(msgspec.Struct):
    """What of the record decides; the rest is for others."""

    traits: dict[str, msgspec.Raw]
    profile: _Profile
    trait: _Trait


_decoder = msgspec.json.Decoder(_Value)


def read_change(record: Record) -> Change:
    """A reader of `cdp.computed-traits.v1`. Raises Unreadable."""
    try:
        found = _decoder.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Unreadable("undecodable", f"not a record of cdp.computed-traits.v1: {error}") from error
    trait_id, value = found.trait.id, found.traits.get(found.trait.id)
    if value is None or not _ID.fullmatch(trait_id) or len(value) > MAX_BYTES:
        raise Unreadable("invalid_trait", "traits must have the value of trait.id, of at most 64 KiB")
    # copied, since a Raw keeps the whole record's bytes
    kept = None if value == _ABSENT else msgspec.Raw(bytes(value))
    return Change(found.profile.id, trait_id, (_epoch(record), found.trait.sequence), kept)


def changed(stored: dict[str, Computed], changes: Iterable[Change]) -> set[str]:
    """Apply the changes to the profiles that there are; return the ids of those that are others now."""
    return {
        change.profile_id
        for change in changes
        if (found := stored.get(change.profile_id)) is not None and found.apply(change)
    }


def _epoch(record: Record) -> int:
    text = header(record.headers, EPOCH) or b""
    if not _NUMBER.fullmatch(text):
        raise Unreadable("invalid_epoch", f"the header {EPOCH} must be the sender's epoch, a number")
    return int(text)
