"""Sequences of one customer: per value of `by` a run of events, and from when until when it makes the sequence
true.

A run is a function of its events alone: whatever their order of arrival, it says the same.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from headrace.contracts.segment_conditions import SequenceTest
from headrace.contracts.segment_values import duration_ms

NEVER = 2**53  # behind every instant
MAX_ITEMS = 10_000
MAX_LOOKED_BACK = 1_000  # the same where somebody looks back

Item = tuple[int, str, str, int]
"""An event: ts, source, messageId, and the steps it matches, as bits from the first; then_not is the next one."""


class Run(msgspec.Struct, array_like=True, gc=False):
    """`items` ascending; true from `start` until before `end`; `since` is the completing event's place."""

    items: list[Item] = []
    start: int = 0
    end: int = 0
    since: int = -1


class Pattern:
    """What a sequence asks of a run. `horizon`: how far back an event may matter (None: for ever)."""

    __slots__ = ("_expires", "_following", "_steps", "_withins", "horizon", "lookback")

    def __init__(self, test: SequenceTest) -> None:
        steps = [*test.steps, test.then] if test.then else [*test.steps]
        self._withins = [step.within_ms for step in steps]
        self._steps = len(steps)
        self._following = None if test.then_not is None else duration_ms(test.then_not.within)
        self._expires = test.expires_ms
        self.lookback = 0
        self.horizon: int | None = None
        bounds = [*self._withins[1:], self._expires]
        if all(bound is not None for bound in bounds):
            self.horizon = sum(bound for bound in bounds if bound is not None)

    def judge(self, items: Sequence[Item]) -> tuple[int, int, int]:
        """(start, end, place of the completing event) of these events, ascending; start = end: never true."""
        completed, place = -1, -1
        for place, over in self._completed(items):
            completed = -1 if over else place
        return (*self._span(items, completed), place)

    def course(self, items: Sequence[Item]) -> tuple[list[int], list[tuple[int, int]]]:
        """The instants of the events, and from when until when the sequence was true by what had happened until
        each of them, that one included."""
        spans = [self._span(items, -1 if over else place) for place, over in self._completed(items)]
        return [item[0] for item in items], spans

    def _span(self, items: Sequence[Item], completed: int) -> tuple[int, int]:
        if completed < 0:
            return 0, 0
        ts = items[completed][0]
        end = NEVER if self._expires is None else ts + self._expires
        return (0 if self._following is None else ts + self._following), end

    def instants(self, items: Iterable[Item]) -> Iterator[int]:
        """When these events may change anything."""
        for item in items:
            yield item[0]
            if self._following is not None:
                yield item[0] + self._following
            if self._expires is not None:
                yield item[0] + self._expires

    def _completed(self, items: Sequence[Item]) -> Iterator[tuple[int, bool]]:
        """After each event: the place of the latest completing one (-1: none), and whether then_not came after
        it."""
        last, place, over = self._steps - 1, -1, False
        reached: list[int | None] = [None] * self._steps
        for at, (ts, _, _, bits) in enumerate(items):
            if bits >> self._steps:
                over = place >= 0
            for step in range(last, -1, -1):
                if bits >> step & 1 and self._follows(step, ts, reached):
                    reached[step] = ts
                    if step == last:
                        place, over = at, False
            yield place, over

    def _follows(self, step: int, ts: int, reached: Sequence[int | None]) -> bool:
        """Whether an event may be this step, after the latest that completed the one before."""
        if step == 0:
            return True
        before, within = reached[step - 1], self._withins[step]
        return before is not None and (within is None or ts - before < within)


class Runs:
    """The runs of one sequence, by the key of their `by` value."""

    __slots__ = ("_packed", "_runs", "approximate")

    def __init__(self, packed: msgspec.Raw | None = None) -> None:
        self._packed = packed
        self._runs: dict[str, Run] = {}
        self.approximate = False
        if packed is not None:
            self._runs, self.approximate = _decoder.decode(packed)

    def pack(self) -> msgspec.Raw:
        if self._packed is None:
            self._packed = msgspec.Raw(_encoder.encode((self._runs, self.approximate)))
        return self._packed

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def items(self) -> Iterable[tuple[str, Run]]:
        return self._runs.items()

    def let_in(self, pattern: Pattern, keys: Iterable[str], item: Item, now: int) -> None:
        """Let an event in, however late."""
        self._packed = None
        if pattern.horizon is not None:
            self._forget(pattern, now - pattern.horizon - pattern.lookback)
        for key in keys:
            run = self._runs.setdefault(key, Run(items=[]))
            place = bisect_left(run.items, item)
            if place < len(run.items) and run.items[place][:3] == item[:3]:
                continue
            run.items.insert(place, item)
            run.start, run.end, run.since = pattern.judge(run.items)
        self._bound(pattern, MAX_LOOKED_BACK if pattern.lookback else MAX_ITEMS)

    def _bound(self, pattern: Pattern, most: int) -> None:
        """Forget the runs whose last event is the oldest, and the oldest events of the next one, beyond `most`."""
        surplus = sum(len(run.items) for run in self._runs.values()) - most
        if surplus <= 0:
            return
        self.approximate = True
        for key, run in sorted(self._runs.items(), key=lambda entry: entry[1].items[-1]):
            if len(run.items) > surplus:
                del run.items[:surplus]
                run.start, run.end, run.since = pattern.judge(run.items)
                return
            del self._runs[key]
            surplus -= len(run.items)

    def _forget(self, pattern: Pattern, until: int) -> None:
        """Forget events at or before `until`: they can change nothing any more."""
        for key, run in list(self._runs.items()):
            if run.items[0][0] > until:
                continue
            run.items = [item for item in run.items if item[0] > until]
            if not run.items:
                del self._runs[key]
            else:
                run.start, run.end, run.since = pattern.judge(run.items)


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[tuple[dict[str, Run], bool]] = msgspec.msgpack.Decoder(
    tuple[dict[str, Run], bool]
)
