"""What a partition keeps of one customer: one packed value, decoded only as far as somebody looks."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import msgspec

from headrace.contracts.profile_event import EventRow, MergeRow, SplitRow, UnmergeRow
from services.segmenter.journal import Journal
from services.segmenter.memberships import Memberships
from services.segmenter.runs import Runs

FORMAT = 4
"""Of the packed value. A store that holds another one is rebuilt (commit.py)."""

NEVER_STORED = -1

CONSENT = "\0consent:"
TAG = "\0tag:"
"""With a channel or a tag behind it, the name under which a consent or a tag is kept among the traits, whose own
names hold no U+0000."""

Changed = list[tuple[int, bytes | None]]
"""From when on a trait had which JSON text (None: no trait), ascending."""

Latest = list[tuple[int, str, str, Any]]
"""Events that say something which the latest decides: ts, source, messageId, what they say; ascending."""


StatingRow = EventRow | MergeRow | UnmergeRow | SplitRow
"""Rows that may change a customer's traits, consents and tags."""


class Parts(Protocol):
    """Names of parts of what is kept of a customer."""

    @property
    def journals(self) -> Iterable[str]: ...
    @property
    def sequences(self) -> Iterable[str]: ...
    @property
    def traits(self) -> Iterable[str]: ...
    @property
    def latest(self) -> Iterable[str]: ...


Scores = tuple[int, int, str]
"""Recency, frequency and monetary value of a population, as they stand in its indexes."""

_Packed = tuple[
    str | None,
    str | None,
    dict[str, str],
    dict[str, bytes],
    dict[str, int],
    dict[str, msgspec.Raw],
    msgspec.Raw,
    msgspec.Raw,
    msgspec.Raw,
]
Published = tuple[int, int, bytes]
"""Of a computed trait: the version that says so, since when, and the value as JSON text."""

_More = tuple[
    dict[str, msgspec.Raw], dict[str, Changed], dict[str, Latest], dict[str, Scores], dict[str, Published]
]
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)
_more: msgspec.msgpack.Decoder[_More] = msgspec.msgpack.Decoder(_More)
_texts: msgspec.msgpack.Decoder[list[str]] = msgspec.msgpack.Decoder(list[str])
_json = msgspec.json.Encoder(decimal_format="number")
_NONE = msgspec.Raw(_encoder.encode([]))
_NO_MORE = msgspec.Raw(_encoder.encode(({}, {}, {}, {}, {})))


class Customer:
    """`traits` holds JSON text per trait that some definition reads, plus e-mail and phone, consents and tags.
    `external_ids` is type → value, the last known; `computed` has the computed traits as published. `due` is the
    one armed deadline (0 = none), `stored_due` what the store has."""

    __slots__ = (
        "_dues",
        "_frozen",
        "_journals",
        "_left",
        "_members",
        "_packed_left",
        "_packed_members",
        "anonymous_id",
        "changed",
        "computed",
        "due",
        "external_ids",
        "latest",
        "memo",
        "profile_id",
        "runs",
        "scores",
        "stored_due",
        "traits",
        "user_id",
    )

    def __init__(self, profile_id: str = "", *, user_id: str | None = None) -> None:
        self.profile_id = profile_id
        self.user_id = user_id
        self.anonymous_id: str | None = None
        self.external_ids: dict[str, str] = {}
        self.traits: dict[str, bytes] = {}
        self.due = 0
        self.stored_due = NEVER_STORED
        self.runs: dict[str, Runs | msgspec.Raw] = {}
        self.changed: dict[str, Changed] = {}
        self.latest: dict[str, Latest] = {}
        self.scores: dict[str, Scores] = {}
        self.computed: dict[str, Published] = {}
        self.memo: dict[str, Any] = {}
        self._dues: dict[str, int] = {}
        self._journals: dict[str, Journal | msgspec.Raw] = {}
        self._frozen: dict[str, msgspec.Raw] = {}  # journals that were decoded or packed, and not opened since
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
        """The journal, to look at."""
        journal = self._journals.get(key)
        if type(journal) is msgspec.Raw:
            self._frozen[key] = journal
            journal = self._journals[key] = Journal.unpack(journal)
        return journal

    def opened(self, key: str) -> Journal:
        """The journal, begun if there is none. May be changed."""
        journal = self._journals.get(key)
        if isinstance(journal, Journal):
            self._frozen.pop(key, None)
            return journal
        opened = self._journals[key] = Journal() if journal is None else Journal.unpack(journal)
        return opened

    def journal_keys(self) -> list[str]:
        return list(self._journals)

    def runs_of(self, key: str) -> Runs | None:
        """The runs of a sequence."""
        runs = self.runs.get(key)
        if type(runs) is msgspec.Raw:
            runs = self.runs[key] = Runs(runs)
        return runs

    def opened_runs(self, key: str) -> Runs:
        runs = self.runs_of(key)
        if runs is None:
            runs = self.runs[key] = Runs()
        return runs

    def take_events(self, other: "Customer") -> None:
        """Have all that the other customer keeps of events, and no deadline until they are armed."""
        self._journals = other._journals
        self._frozen = other._frozen
        self.runs = other.runs
        self.latest = other.latest
        self._dues = {}
        self.due = 0

    def take_parts(self, other: "Customer", parts: "Parts") -> None:
        """Have these parts of what the other keeps in place of our own."""
        kept: Sequence[tuple[dict[str, Any], dict[str, Any], Iterable[str]]] = (
            (self._journals, other._journals, parts.journals),
            (self._frozen, other._frozen, parts.journals),
            (self.runs, other.runs, parts.sequences),
            (self.latest, other.latest, parts.latest),
            (self.traits, other.traits, parts.traits),
            (self.changed, other.changed, parts.traits),
        )
        for own, theirs, names in kept:
            for name in names:
                own.pop(name, None)
                if name in theirs:
                    own[name] = theirs[name]

    def forget(self, key: str) -> None:
        """Forget a journal."""
        self._journals.pop(key, None)
        self._frozen.pop(key, None)
        self.arm({key: 0})

    def awake(self, instant: int) -> list[str]:
        """What is due at or before `instant`."""
        return [key for key, due in self._dues.items() if due <= instant]

    @property
    def armed(self) -> list[str]:
        """Whatever has a deadline."""
        return list(self._dues)

    def arm(self, dues: Mapping[str, int]) -> bool:
        """Set these deadlines (0: none). True when any of them is another than before."""
        known, changed = self._dues, False
        for key, due in dues.items():
            if known.get(key, 0) == due:
                continue
            changed = True
            if due:
                known[key] = due
            else:
                del known[key]
        if changed:
            self.due = min(known.values()) if known else 0
        return changed

    def take_identity(self, row: StatingRow) -> None:
        """Remember the identifiers last seen."""
        if row.user_id:
            self.user_id = row.user_id
        if isinstance(row, EventRow):
            if row.anonymous_id:
                self.anonymous_id = row.anonymous_id
            for external in row.external_ids:
                self.external_ids[external.type] = external.value

    def identify_again(self, user_id: str | None, events: Iterable[EventRow]) -> None:
        """Remember those of these events alone, in their order, and this user id."""
        self.anonymous_id = None
        self.external_ids = {}
        for row in events:
            self.take_identity(row)
        self.user_id = user_id

    def take_traits(
        self, changes: Mapping[str, Any], at: int, wanted: frozenset[str], lookback: Mapping[str, int], now: int
    ) -> None:
        """Apply what a row changed at `at`, as far as anybody reads it; null removes. Of a trait in `lookback` it
        is kept what it was during so many ms before `now`."""
        for name, value in changes.items():
            if name not in wanted:
                continue
            text = None if value is None else _json.encode(value)
            if text is None:
                self.traits.pop(name, None)
            else:
                self.traits[name] = text
            if name in lookback:
                self._note(name, at, text, now - lookback[name])

    def _note(self, name: str, at: int, text: bytes | None, begin: int) -> None:
        known = self.changed.setdefault(name, [])
        known.append((max(at, known[-1][0]) if known else at, text))
        while len(known) > 1 and known[1][0] <= begin:
            del known[0]

    def trait_at(self, name: str, instant: int) -> bytes | None:
        """What a trait that is looked back at was."""
        known = self.changed.get(name, ())
        place = bisect_right(known, instant, key=itemgetter(0))
        return known[place - 1][1] if place else None

    def pack(self) -> bytes:
        journals = {
            key: journal if type(journal) is msgspec.Raw else self._freeze(key, journal)
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
                self._pack_more(),
            )
        )

    def _freeze(self, key: str, journal: Journal) -> msgspec.Raw:
        frozen = self._frozen.get(key)
        if frozen is None:
            frozen = self._frozen[key] = msgspec.Raw(journal.pack())
        return frozen

    def _pack_more(self) -> msgspec.Raw:
        if not (self.runs or self.changed or self.latest or self.scores or self.computed):
            return _NO_MORE
        runs = {key: one if type(one) is msgspec.Raw else one.pack() for key, one in self.runs.items()}
        return msgspec.Raw(_encoder.encode((runs, self.changed, self.latest, self.scores, self.computed)))

    @classmethod
    def unpack(cls, raw: bytes, profile_id: str = "") -> "Customer":
        customer = cls(profile_id)
        (
            customer.user_id,
            customer.anonymous_id,
            customer.external_ids,
            customer.traits,
            customer._dues,
            journals,
            customer._packed_members,
            customer._packed_left,
            more,
        ) = _decoder.decode(raw)
        customer._journals.update(journals)
        if more != _NO_MORE:
            runs, customer.changed, customer.latest, customer.scores, customer.computed = _more.decode(more)
            customer.runs.update(runs)
        customer.due = customer.stored_due = min(customer._dues.values()) if customer._dues else 0
        return customer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Customer) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # it changes


def trait_changes(row: StatingRow) -> Mapping[str, Any]:
    """What a row changed of traits, consents and tags, by the name under which each is kept."""
    if not row.consents and not row.tags:
        return row.traits
    consents = {CONSENT + channel: status for channel, status in row.consents.items()}
    tags = {TAG + tag: True if on else None for tag, on in row.tags.items()}
    return {**row.traits, **consents, **tags}


def changed_at(row: StatingRow) -> int:
    """When what the row changed took effect."""
    return row.ts if isinstance(row, EventRow) else row.time
