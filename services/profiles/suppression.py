"""Of whom nothing is collected: known by keyed hashes of their identifiers alone (pure).

What names only such people is dropped. Beside other identifiers theirs are ignored, as if the event had none.
"""

import hmac
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

import msgspec

from headrace.contracts.identifiers import ANONYMOUS_ID, EMAIL, PHONE
from headrace.contracts.profile_event import EventRow
from services.profiles.identity import Identifier
from services.profiles.intake import Incoming
from services.profiles.normalise import identifier

PROFILE = "headrace.profile"
"""Type of the identifier that a message's outcome has: the id of a profile."""
_TRAITS = {EMAIL: "email", PHONE: "phone"}


class Suppressor:
    """Makes the hashes. HMAC-SHA256, so that nobody without the key can try out e-mail addresses."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, found: Identifier) -> bytes:
        return hmac.digest(self._key, f"{found[0]}\x1f{found[1]}".encode("utf-8", "surrogatepass"), sha256)


def names_of(incoming: Incoming) -> Sequence[Identifier]:
    """By what a record names a person."""
    if incoming.addressed_to is not None:
        return ((PROFILE, incoming.addressed_to),)
    return incoming.identifiers


def without(incoming: Incoming, suppressed: Collection[Identifier]) -> Incoming | None:
    """The record without these, which are suppressed; None when that leaves nobody. A message's outcome that takes
    consent back always stays."""
    names = names_of(incoming)
    if not any(name in suppressed for name in names):
        return incoming
    if incoming.addressed_to is not None:
        return incoming if "withdrawn" in incoming.consents.values() else None
    left = tuple(name for name in names if name not in suppressed)
    if not left:
        return None
    gone = {kind for kind, value in names if (kind, value) in suppressed}
    hidden = {_TRAITS[kind] for kind in gone if kind in _TRAITS}
    return msgspec.structs.replace(
        incoming,
        identifiers=left,
        row=_row_without(incoming, suppressed),
        traits={name: value for name, value in incoming.traits.items() if name not in hidden},
    )


def _row_without(incoming: Incoming, suppressed: Collection[Identifier]) -> EventRow:
    row = incoming.row
    anonymous = row.anonymous_id
    if anonymous is not None and (ANONYMOUS_ID, identifier(ANONYMOUS_ID, anonymous, None)) in suppressed:
        anonymous = None
    external = tuple(one for one in row.external_ids if (one.type, one.value) not in suppressed)
    return msgspec.structs.replace(row, anonymous_id=anonymous, external_ids=external)


def all_names(records: Iterable[Incoming]) -> list[Identifier]:
    """Each once."""
    return list({name: None for record in records for name in names_of(record)})
