"""What one commit of a partition holds, and the port of the store that keeps it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.profile_event import ControlRow, ProfileEvent, ProfileRow
from services.segmenter.catalog import Catalog
from services.segmenter.change import Transition
from services.segmenter.computation import Computation
from services.segmenter.customer import FORMAT, Customer, Scores
from services.segmenter.fold import Due
from services.segmenter.history import History


class Fenced(HeadraceError):
    """Another process has committed to this partition: reload and go on from its watermark."""


class Watermark(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a partition is, in its input and in the record being applied: the whole of what fences.

    seq, offset: last row applied, next log offset. now: instant up to which timers have fired. transitions,
    out_seq: how many there were, how many of them are numbered for publishing; computed, computed_seq: likewise of
    computed traits. swept: last customer that
    record seq + 1 has dealt with. backfill: last customer recomputed for versions in preparation (None: nothing
    to do); ready: versions whose state is complete here. lookahead: the state of versions defined up to this
    row is kept from the first row on. silent_until, computed_until: position up to which transitions, and computed
    traits, are published already.
    """

    epoch: int = 0
    seq: int = 0
    offset: int = 0
    now: int = 0
    transitions: int = 0
    out_seq: int = 0
    swept: str | None = None
    backfill: str | None = None
    ready: dict[str, int] = {}
    lookahead: int = 0
    silent_until: str = ""
    computed: int = 0
    computed_seq: int = 0
    computed_until: str = ""


class _Format(msgspec.Struct):
    format: int = 1


_json = msgspec.json.Encoder(order="deterministic")
_formats = msgspec.json.Decoder(_Format)
_marks = msgspec.json.Decoder(Watermark)


def encode_mark(mark: Watermark) -> bytes:
    """As it is stored: with the format of the customers behind it. The same bytes for the same watermark, stores
    compare them."""
    body = _json.encode(mark)[1:]
    return b'{"format":%d%s%s' % (FORMAT, b"" if body == b"}" else b",", body)


def decode_mark(raw: bytes | None) -> Watermark | None:
    """None when there is none, or when the customers behind it have another format: the partition must be
    rebuilt."""
    if raw is None or _formats.decode(raw).format != FORMAT:
        return None
    return _marks.decode(raw)


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A record of the input: its row, the offset behind it, and its trace."""

    row: ProfileEvent
    next_offset: int
    traceparent: str | None = None


class Output(msgspec.Struct, frozen=True, gc=False):
    """A transition with its dense number, ready to be published. `received_at`: of the event that caused it, in
    milliseconds since the epoch; 0 without one."""

    seq: int
    transition: Transition
    traceparent: str | None = None
    received_at: int = 0


class ComputedOutput(msgspec.Struct, frozen=True, gc=False):
    """The same of a computed trait."""

    seq: int
    computation: Computation
    traceparent: str | None = None


ScoreChanges = Mapping[str, Mapping[str, Scores | None]]
"""By population, the figures by which customers are found when cut points change (None: not any more)."""

Range = tuple[int, float, float]
"""Which of the three figures, from, to (both included)."""


@dataclass(slots=True)
class Commit:
    """Everything a batch changes, written in one piece. A customer None is forgotten. `catalog` None: as it
    was. `transitions` also holds what is not published again; `computed` are outputs alone."""

    mark: Watermark
    customers: Mapping[str, Customer | None] = field(default_factory=dict)
    transitions: Sequence[Transition] = ()
    outputs: Sequence[Output] = ()
    catalog: Catalog | None = None
    scores: ScoreChanges = field(default_factory=dict)
    computed: Sequence[ComputedOutput] = ()


class StateStore(Protocol):
    """Where a partition's state lives. All of a partition is written by `commit` and `reset` alone."""

    async def load(self, partition: int) -> tuple[Watermark, Catalog] | None:
        """The stored watermark and catalog; None when the partition was never set up or is lost."""
        ...

    async def customers(self, partition: int, profile_ids: Sequence[str]) -> dict[str, Customer]:
        """Those of the customers that are known."""
        ...

    async def due(self, partition: int, until: int, limit: int) -> list[Due]:
        """The first `limit` deadlines at or before `until`, in the order (instant, profile id)."""
        ...

    async def profile_ids(self, partition: int) -> list[str]:
        """Every known customer, ascending."""
        ...

    async def scored(self, partition: int, population: str, ranges: Sequence[Range]) -> list[str]:
        """Every customer with one of its figures in one of these ranges, ascending."""
        ...

    async def commit(self, partition: int, expected: Watermark, commit: Commit) -> None:
        """Write all of it if the stored watermark is `expected`, else nothing. Succeeds as well when exactly
        this commit is there already. Raises Fenced."""
        ...

    async def reset(self, partition: int, mark: Watermark) -> None:
        """Forget everything of the partition and store `mark` with an empty catalog."""
        ...


class Redacted(msgspec.Struct, frozen=True):
    """Rows up to `seq` may say less than they did. After row `counted_seq` there were so many transitions
    and values of computed traits."""

    seq: int = 0
    counted_seq: int = 0
    transitions: int = 0
    computed: int = 0


class Timeline(Protocol):
    """Reads of the profile service's timeline: always ahead of the log."""

    async def history(
        self, profile_ids: Sequence[str], *, replayed: bool = False, names: Collection[str] | None = None
    ) -> History:
        """The rows of these customers and of everybody merged into them, of events only those of these names
        (None: all); with all control rows if it is to be `replayed`."""
        ...

    async def controls(self, partition: int) -> list[ControlRow]:
        """The control rows of a partition, ascending."""
        ...

    async def rows(self, partition: int, after: int, limit: int) -> Sequence[ProfileRow]:
        """The next rows of a partition with seq > `after`, ascending."""
        ...

    async def epochs(self, partition: int) -> dict[int, tuple[int, int]]:
        """Every epoch of the partition's rows with the seq of its first and of its last row."""
        ...

    async def redacted(self, partition: int) -> Redacted:
        """How far rows of the partition were redacted: a store that stands before that is rebuilt."""
        ...
