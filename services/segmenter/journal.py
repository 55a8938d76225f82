"""What is kept of a customer's events of one set of names: the events once, and per atom which of them it holds.

Every window over events of these names shares the journal, so an event is kept once however many conditions look
at it. A journal decodes as far as somebody looks: an event costs what it touches, not what the customer has.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

ZERO = Decimal(0)
FEWEST = 32  # events from which on it pays to look for those that nobody holds

Origin = tuple[str, str]  # source and messageId


class AtomState(msgspec.Struct, array_like=True, gc=False):
    """What an atom keeps. `seen` and `total` cover all events ever; `held` the numbers (in the journal) of the
    newest events that some window may still need, ascending; `values` is what each of them adds (empty where
    events are only counted)."""

    seen: int = 0
    held: list[int] = []
    approximate: bool = False
    total: Decimal | int = 0
    values: list[Decimal] = []


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """What an atom whose values are not just added up keeps (items.py): `base` sums up all events ever, `held` and
    `values` are as in `AtomState`, each value as its aggregate stores it."""

    base: Any = None
    held: list[int] = []
    values: list[Any] = []
    approximate: bool = False


_Packed = tuple[int, int, list[int], list[Origin], dict[str, int], dict[str, msgspec.Raw], dict[str, msgspec.Raw]]
_encoder = msgspec.msgpack.Encoder()
_journals: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)
_states = msgspec.msgpack.Decoder(AtomState)
_item_states = msgspec.msgpack.Decoder(ItemState)


class Journal:
    """Events ascending by (instant, source, messageId), numbered from `first`. `dues`: by atom, when a condition
    on it next changes by itself. An event that comes late moves the numbers behind it."""

    __slots__ = ("_atoms", "_items", "_room", "dues", "first", "origins", "times")

    def __init__(self) -> None:
        self.first = 0
        self._room = FEWEST
        self.times: list[int] = []
        self.origins: list[Origin] = []
        self.dues: dict[str, int] = {}
        self._atoms: dict[str, AtomState | msgspec.Raw] = {}
        self._items: dict[str, ItemState | msgspec.Raw] = {}

    @classmethod
    def unpack(cls, raw: msgspec.Raw | bytes) -> "Journal":
        journal = cls()
        journal.first, journal._room, journal.times, journal.origins, journal.dues, atoms, items = (
            _journals.decode(raw)
        )
        journal._atoms.update(atoms)
        if items:
            journal._items.update(items)
        return journal

    def pack(self) -> bytes:
        return _encoder.encode(
            (self.first, self._room, self.times, self.origins, self.dues, self._atoms, self._items)
        )

    @property
    def due(self) -> int:
        """When the first of its atoms is due (0: never)."""
        return min(self.dues.values()) if self.dues else 0

    def atom_ids(self) -> list[str]:
        return [*self._atoms, *self._items]

    def state(self, atom_id: str) -> AtomState | None:
        state = self._atoms.get(atom_id)
        if type(state) is msgspec.Raw:
            state = self._atoms[atom_id] = _states.decode(state)
        return state

    def opened(self, atom_id: str) -> AtomState:
        """The atom's state, begun if there is none."""
        state = self._atoms.get(atom_id)
        if isinstance(state, AtomState):
            return state
        opened = self._atoms[atom_id] = AtomState() if state is None else _states.decode(state)
        return opened

    def item_state(self, atom_id: str) -> ItemState | None:
        state = self._items.get(atom_id)
        if type(state) is msgspec.Raw:
            state = self._items[atom_id] = _item_states.decode(state)
        if state is not None:
            self.trim(state)
        return state

    def trim(self, state: AtomState | ItemState) -> None:
        """Have the atom hold no event that the journal has forgotten."""
        if state.held and state.held[0] < self.first:
            gone = bisect_left(state.held, self.first)
            del state.held[:gone], state.values[: gone if state.values else 0]

    def opened_items(self, atom_id: str) -> ItemState:
        """The same, begun if there is none."""
        state = self.item_state(atom_id)
        if state is None:
            state = self._items[atom_id] = ItemState()
        return state

    def forget(self, atom_id: str) -> None:
        self._atoms.pop(atom_id, None)
        self._items.pop(atom_id, None)
        self.dues.pop(atom_id, None)

    def arm(self, atom_id: str, due: int) -> None:
        """Set the atom's deadline (0: none)."""
        if due:
            self.dues[atom_id] = due
        elif atom_id in self.dues:
            del self.dues[atom_id]

    def after(self, instant: int) -> int:
        """The number of the first event later than `instant`."""
        return self.first + bisect_right(self.times, instant)

    def behind(self, held: Sequence[int], instant: int) -> int:
        """How many of these ascending numbers (one at least) are of events at or before `instant`."""
        at = held[0] - self.first
        if at >= 0 and self.times[at] > instant:
            return 0
        return bisect_left(held, self.after(instant))

    def time(self, number: int) -> int:
        """The instant of an event."""
        return self.times[number - self.first]

    def origin(self, number: int) -> Origin:
        """The source and messageId of an event."""
        return self.origins[number - self.first]

    def event(self, number: int) -> tuple[int, str, str]:
        """(instant, source, messageId)."""
        source, message_id = self.origins[number - self.first]
        return self.times[number - self.first], source, message_id

    def place(self, ts: int, origin: Origin) -> int:
        """Enter an event unless it is there; return its number. Events of one instant stand in the order of their
        origins."""
        times, origins = self.times, self.origins
        at = len(times)
        if at and ts <= times[-1]:
            low = bisect_left(times, ts)
            at = bisect_left(origins, origin, low, bisect_right(times, ts, low))
            if at < len(times) and origins[at] == origin and times[at] == ts:
                return self.first + at
        number = self.first + at
        if at < len(times):
            self._move(number)
        times.insert(at, ts)
        origins.insert(at, origin)
        return number

    def drop_until(self, instant: int) -> None:
        """Forget events at or before `instant`: no window of any atom sees them."""
        if self.times and self.times[0] <= instant:
            gone = bisect_right(self.times, instant)
            self.first += gone
            del self.times[:gone], self.origins[:gone]

    def tidy(self) -> None:
        """Forget events that no atom holds, now and then: once there are twice as many as there were."""
        if len(self.times) < self._room:
            return
        states = list(self._states())
        last = self.first + len(self.times)
        needed = sorted({number for state in states for number in state.held if self.first <= number < last})
        for state in states:
            begin = bisect_left(state.held, self.first)
            state.held = [bisect_left(needed, number) + self.first for number in state.held[begin:]]
            del state.values[: begin if state.values else 0]
        self.times = [self.times[number - self.first] for number in needed]
        self.origins = [self.origins[number - self.first] for number in needed]
        self._room = max(FEWEST, 2 * len(needed))

    def _move(self, number: int) -> None:
        """Make way for an event: this number and those behind it rise by one."""
        for state in self._states():
            start = bisect_left(state.held, number)
            state.held[start:] = [held + 1 for held in state.held[start:]]

    def _states(self) -> Iterator[AtomState | ItemState]:
        for atom_id in self._atoms:
            state = self.state(atom_id)
            assert state is not None  # it is one of ours
            yield state
        for atom_id in self._items:
            items = self.item_state(atom_id)
            assert items is not None
            yield items


def hold(state: AtomState | ItemState, number: int, value: Any) -> None:
    """Let the atom hold this event."""
    if not state.held or number > state.held[-1]:
        state.held.append(number)
        if value is not None:
            state.values.append(value)
        return
    insort(state.held, number)
    if value is not None:
        state.values.insert(bisect_left(state.held, number), value)
