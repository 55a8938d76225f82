"""What a partition keeps of one customer: one packed value, decoded only as far as somebody looks."""

from collections.abc import Mapping

import msgspec

from headrace.contracts.profile_event import EventRow, MergeRow
from services.segmenter.journal import Journal
from services.segmenter.memberships import Memberships

FORMAT = 2
"""Of the packed value. A store that holds another one is rebuilt (commit.py)."""

NEVER_STORED = -1


_Packed = tuple[
    str | None,
    str | None,
    dict[str, str],
    dict[str, bytes],
    dict[str, int],
    dict[str, msgspec.Raw],
    msgspec.Raw,
    msgspec.Raw,
]
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)
_texts: msgspec.msgpack.Decoder[list[str]] = msgspec.msgpack.Decoder(list[str])
_json = msgspec.json.Encoder(decimal_format="number")
_NONE = msgspec.Raw(_encoder.encode([]))


class Customer:
    """`traits` holds JSON text per trait that some definition reads, plus e-mail and phone. `external_ids` is type
    → value, the last known. `due` is the one armed deadline (0 = none), `stored_due` what the store has."""

    __slots__ = (
        "_dues",
        "_journals",
        "_left",
        "_members",
        "_packed_left",
        "_packed_members",
        "anonymous_id",
        "due",
        "external_ids",
        "stored_due",
        "traits",
        "user_id",
    )

    def __init__(self, *, user_id: str | None = None) -> None:
        self.user_id = user_id
        self.anonymous_id: str | None = None
        self.external_ids: dict[str, str] = {}
        self.traits: dict[str, bytes] = {}
        self.due = 0
        self.stored_due = NEVER_STORED
        self._dues: dict[str, int] = {}
        self._journals: dict[str, Journal | msgspec.Raw] = {}
        self._packed_members = self._packed_left = _NONE
        self._members: Memberships | None = None
        self._left: list[str] | None = None

    @property
    def members(self) -> Memberships:
        """By segment id, what the customer is a member of. May be changed."""
        if self._members is None:
            self._members = Memberships(self._packed_members)
        return self._members

    @members.setter
    def members(self, members: Memberships) -> None:
        self._members = members

    @property
    def left(self) -> list[str]:
        """The segments in which an entry of this customer has ended. May be changed."""
        if self._left is None:
            self._left = _texts.decode(self._packed_left)
        return self._left

    @left.setter
    def left(self, left: list[str]) -> None:
        self._left = left

    def journal(self, key: str) -> Journal | None:
        journal = self._journals.get(key)
        if type(journal) is msgspec.Raw:
            journal = self._journals[key] = Journal.unpack(journal)
        return journal

    def opened(self, key: str) -> Journal:
        """The journal, begun if there is none."""
        journal = self.journal(key)
        if journal is None:
            journal = self._journals[key] = Journal()
        return journal

    def journal_keys(self) -> list[str]:
        return list(self._journals)

    def take_journals(self, other: "Customer") -> None:
        """Have the other customer's journals, and no deadline until they are armed."""
        self._journals = other._journals
        self._dues = {}
        self.due = 0

    def forget(self, key: str) -> None:
        """Forget a journal."""
        self._journals.pop(key, None)
        self.arm({key: 0})

    def awake(self, instant: int) -> list[str]:
        """The journals that are due at or before `instant`."""
        return [key for key, due in self._dues.items() if due <= instant]

    def arm(self, dues: Mapping[str, int]) -> bool:
        """Set these journals' deadlines (0: none). True when the customer's own has another instant now."""
        for key, due in dues.items():
            if due:
                self._dues[key] = due
            else:
                self._dues.pop(key, None)
        before = self.due
        self.due = min(self._dues.values(), default=0)
        return self.due != before

    def take_identity(self, row: EventRow | MergeRow) -> None:
        """Remember the identifiers last seen."""
        if row.user_id:
            self.user_id = row.user_id
        if isinstance(row, EventRow):
            if row.anonymous_id:
                self.anonymous_id = row.anonymous_id
            for external in row.external_ids:
                self.external_ids[external.type] = external.value

    def take_traits(self, row: EventRow | MergeRow, wanted: frozenset[str]) -> None:
        """Apply the traits that the row changed, as far as anybody reads them; null removes one."""
        for name, value in row.traits.items():
            if name not in wanted:
                continue
            if value is None:
                self.traits.pop(name, None)
            else:
                self.traits[name] = _json.encode(value)

    def pack(self) -> bytes:
        journals = {
            key: journal if type(journal) is msgspec.Raw else msgspec.Raw(journal.pack())
            for key, journal in self._journals.items()
        }
        return _encoder.encode(
            (
                self.user_id,
                self.anonymous_id,
                self.external_ids,
                self.traits,
                self._dues,
                journals,
                self._packed_members if self._members is None else self._members.pack(),
                self._packed_left if self._left is None else self._left,
            )
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "Customer":
        customer = cls()
        (
            customer.user_id,
            customer.anonymous_id,
            customer.external_ids,
            customer.traits,
            customer._dues,
            journals,
            customer._packed_members,
            customer._packed_left,
        ) = _decoder.decode(raw)
        customer._journals.update(journals)
        customer.due = customer.stored_due = min(customer._dues.values()) if customer._dues else 0
        return customer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Customer) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # it changes
