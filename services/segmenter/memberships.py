"""A customer's memberships, kept by what they have in common: one event lets a customer enter many segments."""

from collections.abc import Iterator, KeysView, MutableMapping

import msgspec


class Membership(msgspec.Struct, frozen=True, gc=False):
    """Since when, under which version, by which entry and by which message the customer is in a segment."""

    version: int
    entered_at: int
    entry_id: str
    cause_message_id: str | None = None


_Group = tuple[int, str | None, dict[str, tuple[int, bytes]]]
_encoder = msgspec.msgpack.Encoder()
_groups: msgspec.msgpack.Decoder[list[_Group]] = msgspec.msgpack.Decoder(list[_Group])
_NONE = msgspec.Raw(_encoder.encode([]))


class Memberships(MutableMapping[str, Membership]):
    """By segment id. A group is (entered_at, cause's messageId, {segment id: (version, entry id)}), the entry ids
    (`ids.entry_id`) as bytes, half their size. Members are looked at far more often than read."""

    __slots__ = ("_groups", "_packed", "_where")

    def __init__(self, packed: msgspec.Raw = _NONE) -> None:
        self._packed: msgspec.Raw | None = packed
        self._groups: list[_Group] = _groups.decode(packed)
        self._where = {key: group for group in self._groups for key in group[2]}

    def pack(self) -> msgspec.Raw:
        if self._packed is None:
            self._groups = [group for group in self._groups if group[2]]
            self._packed = msgspec.Raw(_encoder.encode(self._groups))
        return self._packed

    def __contains__(self, segment_id: object) -> bool:
        return segment_id in self._where

    def __getitem__(self, segment_id: str) -> Membership:
        entered_at, cause, members = self._where[segment_id]
        version, entry = members[segment_id]
        return Membership(version, entered_at, "e" + entry.hex(), cause)

    def __setitem__(self, segment_id: str, held: Membership) -> None:
        if segment_id in self._where:
            del self[segment_id]
        self.begin(segment_id, held.version, held.entered_at, held.entry_id, held.cause_message_id)

    def begin(self, segment_id: str, version: int, at: int, entry_id: str, cause_message_id: str | None) -> None:
        """Add a membership in a segment that is not among them."""
        self._packed = None
        group = self._groups[-1] if self._groups else None
        if group is None or group[0] != at or group[1] != cause_message_id:
            group = (at, cause_message_id, {})
            self._groups.append(group)
        group[2][segment_id] = version, bytes.fromhex(entry_id[1:])
        self._where[segment_id] = group

    def __delitem__(self, segment_id: str) -> None:
        del self._where.pop(segment_id)[2][segment_id]
        self._packed = None

    @property
    def segments(self) -> KeysView[str]:
        """The segments, for who asks often whether one is among them."""
        return self._where.keys()

    def end(self, segment_id: str) -> str:
        """Remove a membership; return its entry id."""
        _, entry = self._where.pop(segment_id)[2].pop(segment_id)
        self._packed = None
        return "e" + entry.hex()

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)
