"""What a partition keeps of one customer: one packed value, whatever the number of segments."""

import msgspec

from headrace.contracts.profile_event import EventRow, MergeRow
from services.segmenter.atoms import AtomState


class Membership(msgspec.Struct, array_like=True, frozen=True):
    """Since when, under which version, by which entry and by which message the customer is in a segment."""

    version: int
    entered_at: int
    entry_id: str
    cause_message_id: str | None = None


class Customer(msgspec.Struct, array_like=True):
    """`traits` holds JSON text per trait that some definition reads, plus e-mail and phone. `due` is the one
    armed deadline (0 = none). `external_ids` is type → value, the last known. `left` are the segments in which
    an entry of this customer has ended."""

    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: dict[str, str] = {}
    traits: dict[str, bytes] = {}
    atoms: dict[str, AtomState] = {}
    members: dict[str, Membership] = {}
    due: int = 0
    left: list[str] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Customer)
_json = msgspec.json.Encoder(decimal_format="number")


def pack(customer: Customer) -> bytes:
    return _encoder.encode(customer)


def unpack(raw: bytes) -> Customer:
    return _decoder.decode(raw)


def take_identity(customer: Customer, row: EventRow | MergeRow) -> None:
    """Remember the identifiers last seen."""
    customer.user_id = row.user_id or customer.user_id
    if isinstance(row, EventRow):
        customer.anonymous_id = row.anonymous_id or customer.anonymous_id
        for external in row.external_ids:
            customer.external_ids[external.type] = external.value


def take_traits(customer: Customer, row: EventRow | MergeRow, wanted: frozenset[str]) -> None:
    """Apply the traits that the row changed, as far as anybody reads them; null removes one."""
    for name in wanted.intersection(row.traits):
        value = row.traits[name]
        if value is None:
            customer.traits.pop(name, None)
        else:
            customer.traits[name] = _json.encode(value)
