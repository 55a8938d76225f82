"""One way to recompute a customer (DESIGN §4.7): definitions, merges, rebuilds and verification all use it.

A customer's history up to record (q, s) is its own rows before s and, for each merge row among them, the
loser's history up to the tombstone that it names; a split row adds the rows that an unmerge moved, an unmerge row
takes them away. Combined, rows are ordered by (time, output partition, seq), as the live fold saw them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

from headrace.contracts.cut_points import CONTROL as CUT_POINTS
from headrace.contracts.profile_event import (
    ControlRow,
    EventRow,
    MergeRow,
    ProfileRow,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
)
from services.segmenter.catalog import Catalog, Sweep, Version
from services.segmenter.change import Transition
from services.segmenter.compiler import compile_plan
from services.segmenter.customer import Customer, StatingRow, changed_at, trait_changes
from services.segmenter.fold import Clock, Fold, Merged, Remaining
from services.segmenter.plan import NOTHING, Parts, Plan, missing
from services.segmenter.state import Admission


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the timeline with the output partition it was written to."""

    partition: int
    row: ProfileRow


class Plans:
    """The compiled plans of acts, the last used ones. A plan of many definitions is large, and many acts are
    older than anybody who is evaluated."""

    def __init__(self, capacity: int = 32) -> None:
        self._capacity = capacity
        self._kept: dict[int, tuple[Act, Plan]] = {}

    def of(self, act: "Act") -> Plan:
        found = self._kept.pop(id(act), None)
        if found is None:
            found = act, plan_of(act.catalog)
        self._kept[id(act)] = found  # the last used stands last
        if len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]
        return found[1]


@dataclass(frozen=True, eq=False)
class Act:
    """A control row with what it does: the definitions from it on, and the sweep it asks for. `like`: an earlier
    act from which on nothing else was evaluated, but by other cut points."""

    row: ControlRow
    catalog: Catalog
    sweep: Sweep | None
    plans: Plans
    like: "Act | None" = None

    @property
    def plan(self) -> Plan:
        """Compiled when somebody is there to be evaluated. Acts share plans: take it anew after another act's was
        used, it scores by the cut points of the last act whose plan was asked for."""
        plan = self.plans.of(self.like or self)
        plan.cut(self.catalog.cuts)
        return plan

    def lacking(self, before: Plan) -> Parts:
        """What the plan needs and `before`, that of the act before, has not kept."""
        after = self.plan
        return NOTHING if before is after else missing(before, after)


def plan_of(catalog: Catalog, also: Iterable[tuple[str, Version]] = ()) -> Plan:
    """The plan of a catalog; `also` are versions whose state is kept for later."""
    prepared = [version.read() for _, version in (*catalog.pending(), *also)]
    return compile_plan(
        [(version.read(), version.number) for _, version in catalog.publishing()],
        [(version.read(), version.number) for _, version in catalog.paused()],
        prepared,
        cuts=catalog.cuts,
    )


def explaining_plan(catalog: Catalog, version: Version) -> Plan:
    """A plan of one version alone, which keeps all that an explanation shows and evaluates in place what is asked
    for, but for paused segments."""
    return compile_plan(
        [(version.parse(), version.number)],
        [(one.parse(), one.number) for _, one in catalog.paused() if one != version],
        cuts=catalog.cuts,
        keep_everything=True,
        asked=catalog.definitions(),
        traits=catalog.traits(),
    )


def versions_in(controls: Iterable[ControlRow]) -> list[tuple[str, Version]]:
    """Every version that these control rows define, whatever became of it."""
    found: dict[tuple[str, int], Version] = {}
    catalog = Catalog()
    for row in controls:
        before, (catalog, _) = catalog, catalog.apply(row)
        for key, slot in catalog.slots.items():
            if before.slots.get(key) is not slot:
                found.update({(key, version.number): version for version in slot.versions})
    return [(key, version) for (key, _), version in sorted(found.items())]


class Scripts:
    """What the control rows of each partition do, kept from one history to the next: they are few, they do not
    change, and others only come behind them."""

    def __init__(self) -> None:
        self._known: dict[int, list[Act]] = {}
        self._plans = Plans()

    def of(self, partition: int, controls: Sequence[ControlRow]) -> Sequence[Act]:
        """The acts of the partition's first control rows."""
        acts = self._known.setdefault(partition, [])
        same = min(len(acts), len(controls))
        if same and acts[same - 1].row != controls[same - 1]:
            acts.clear()  # another history: that of a restored database
        for row in controls[len(acts) :]:
            acts.append(self._next(acts[-1] if acts else None, row))
        return acts if len(acts) == len(controls) else acts[: len(controls)]

    def _next(self, last: Act | None, row: ControlRow) -> Act:
        before = Catalog() if last is None else last.catalog
        catalog, sweep = before.apply(row)
        # what is only defined is evaluated by nobody, and cut points leave a plan as it is
        same = last is not None and (catalog is before or row.control in {"define", CUT_POINTS})
        return Act(row, catalog, sweep, self._plans, (last.like or last) if last is not None and same else None)


class History:
    """Rows read for some customers, with everybody who was merged into them, and the control rows.

    `rows`: each profile's own rows, ascending. `controls`: each partition's control rows, ascending. `moved`: the
    event rows that each unmerge moved.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[StoredRow]],
        controls: Mapping[int, Sequence[ControlRow]],
        scripts: "Scripts",
        moved: Mapping[str, Sequence[StoredRow]] | None = None,
    ) -> None:
        self._moved = moved or {}
        self._rows = rows
        self._controls = controls
        self._scripts = scripts
        self._losers: dict[tuple[str, int], Customer] = {}

    def on(self, partition: int) -> "PartitionPast":
        """The past as the fold of a partition asks for it."""
        return PartitionPast(self, partition)

    def state(self, plan: Plan, profile_id: str, before: int, now: int) -> Customer:
        """The customer's journals, traits and identifiers after its rows with seq < `before`; no memberships, no
        deadlines armed."""
        return self._after(plan, profile_id, self._own(profile_id, before), now)

    def partition_of(self, profile_id: str, before: int) -> int | None:
        """The output partition of the customer's own rows with seq < `before`; None when there is none, or when
        the customer is gone."""
        own = self._own(profile_id, before)
        if not own or not isinstance(own[-1].row, StatingRow):
            return None
        return own[-1].partition

    def setter(self, profile_id: str, trait: str, before: int) -> StatingRow | None:
        """The row that last changed the trait."""
        for stored in reversed(self._own(profile_id, before)):
            if isinstance(stored.row, StatingRow) and trait in trait_changes(stored.row):
                return stored.row
        return None

    def combined(self, profile_id: str, before: int) -> list[StoredRow]:
        """The event rows of the customer and of everybody merged into it, in the fold's order."""
        return sorted(self._flat(self._own(profile_id, before)), key=_order)

    def replay(self, profile_id: str, partition: int, before: int, now: int) -> Fold:
        """The fold of the customer's own rows with seq < `before` among the partition's control rows, up to
        instant `now`: its memberships as they were published."""
        own = [stored for stored in self._own(profile_id, before) if not isinstance(stored.row, TombstoneRow)]
        return self._fold(profile_id, partition, before, own, now)

    def merged(self, row: MergeRow, partition: int, plan: Plan, now: int) -> Merged:
        """The two customers of a merge row on `partition`, before it and together."""
        both = self._own(row.profile_id, row.seq), self._own(row.loser, row.loser_seq)
        rows = sorted((stored for own in both for stored in self._flat(own)), key=_order)
        parted = any(isinstance(s.row, UnmergeRow | SplitRow) for own in both for s in self._lineage(own))
        cuts = plan.cuts  # the replays of others may share the plan, and score by other ones

        @cache  # most merges let nobody enter, and do not ask
        def entries() -> dict[str, Transition]:
            together = self._fold(row.profile_id, partition, row.seq, rows, now)
            plan.cut(cuts)
            members = together.customers.get(row.profile_id, Customer()).members
            return _entries(together.transitions, members)

        loser = self._loser(row)
        plan.cut(cuts)
        return Merged(_journals(plan, row.profile_id, rows, now), loser, entries, parted)

    def remaining(self, row: UnmergeRow | SplitRow, plan: Plan, now: int) -> Remaining:
        """What the customer has after an unmerge row, or a split row."""
        rows = self.combined(row.profile_id, row.seq + 1)
        return Remaining(_journals(plan, row.profile_id, rows, now), _events(rows))

    def _loser(self, row: MergeRow) -> Customer:
        """The loser before its tombstone, with its memberships."""
        if (row.loser, row.loser_seq) not in self._losers:
            # those merged into it before it: a chain of merges must not become as deep a chain of calls
            chain = [row]
            for merge in chain:
                chain += [s.row for s in self._own(merge.loser, merge.loser_seq) if isinstance(s.row, MergeRow)]
            for merge in reversed(chain):
                loser = self.replay(
                    merge.loser, merge.loser_partition, merge.loser_seq, self._tombstone(merge).low
                )
                found = loser.customers.get(merge.loser, Customer())
                self._losers[merge.loser, merge.loser_seq] = found
        return self._losers[row.loser, row.loser_seq]

    def _fold(self, profile_id: str, partition: int, before: int, rows: Sequence[StoredRow], now: int) -> Fold:
        steps: list[Act | StoredRow] = [*self._script(partition, before), *rows]
        steps.sort(key=lambda step: _order(step, partition))
        act: Act | None = None
        fold = Fold(plan_of(Catalog()), {}, Clock(), past=self.on(partition))
        applied: list[StoredRow] = []
        for item in steps:
            if act is not None and fold.customers:
                fold.plan = act.plan
            fold.advance(min(item.row.low, now))
            if isinstance(item, Act):
                customer = fold.customers.get(profile_id)
                if customer is not None and (parts := item.lacking(fold.plan)):
                    whole = self._after(item.plan.part(parts), profile_id, applied, fold.clock.now)
                    customer.take_parts(whole, parts)
                    fold.plan = item.plan
                    fold.rearm([profile_id])
                act = item
                _act(fold, item, profile_id)
            elif not isinstance(item.row, ControlRow):  # a profile's own rows never are
                if act is not None:
                    fold.plan = act.plan
                applied.append(item)
                fold.apply(msgspec.structs.replace(item.row, profile_id=profile_id))
        if act is not None and fold.customers:
            fold.plan = act.plan
        fold.advance(now)
        return fold

    def _script(self, partition: int, before: int) -> Sequence[Act]:
        controls = [row for row in self._controls.get(partition, ()) if row.seq < before]
        return self._scripts.of(partition, controls)

    def _after(self, plan: Plan, profile_id: str, own: Sequence[StoredRow], now: int) -> Customer:
        """What is kept of a customer after these rows of its own."""
        customer = _journals(plan, profile_id, sorted(self._flat(own), key=_order), now)
        parted = [place for place, stored in enumerate(own) if isinstance(stored.row, UnmergeRow | SplitRow)]
        last = parted[-1] if parted else -1  # identifies the customer anew
        for place, stored in enumerate(own):
            row = stored.row
            if isinstance(row, UnmergeRow | SplitRow):
                if place == last:
                    left = sorted(self._flat(own[: place + 1]), key=_order)
                    customer.identify_again(row.user_id, _events(left))
            elif isinstance(row, EventRow | MergeRow) and place > last:
                customer.take_identity(row)
            if isinstance(row, StatingRow):
                customer.take_traits(trait_changes(row), changed_at(row), plan.kept_traits, plan.lookbacks, now)
        return customer

    def _flat(self, own: Sequence[StoredRow]) -> Iterator[StoredRow]:
        """The events among a customer's rows, and those of everybody who was merged into it by one of them,
        without what was taken out. An event comes and goes as often as it was moved; whoever has it has seen it
        come once more."""
        found: dict[tuple[int, int], StoredRow] = {}
        times: Counter[tuple[int, int]] = Counter()
        for stored in self._lineage(own):
            row = stored.row
            events: Sequence[StoredRow] = (stored,) if isinstance(row, EventRow) else ()
            if isinstance(row, UnmergeRow | SplitRow):
                events = self._moved.get(row.id, ())
            for event in events:
                place = event.partition, event.row.seq
                found[place] = event
                times[place] += -1 if isinstance(row, UnmergeRow) else 1
        return (stored for place, stored in found.items() if times[place] > 0)

    def _lineage(self, own: Sequence[StoredRow]) -> Iterator[StoredRow]:
        """A customer's rows, and those of everybody who was merged into it by one of them."""
        left = [own]
        while left:
            for stored in left.pop():
                if isinstance(stored.row, MergeRow):
                    left.append(self._own(stored.row.loser, stored.row.loser_seq))
                yield stored

    def _own(self, profile_id: str, before: int) -> list[StoredRow]:
        return [stored for stored in self._rows.get(profile_id, ()) if stored.row.seq < before]

    def _tombstone(self, merge: MergeRow) -> ProfileRow:
        for stored in self._rows.get(merge.loser, ()):
            if stored.row.seq == merge.loser_seq:
                return stored.row
        return merge  # its rows are gone (erased): nothing of the loser is left to be evaluated


class PartitionPast:
    """The past of one partition's merges (`fold.Past`)."""

    def __init__(self, history: History, partition: int) -> None:
        self._history = history
        self._partition = partition

    def merged(self, row: MergeRow, plan: Plan, now: int) -> Merged:
        return self._history.merged(row, self._partition, plan, now)

    def remaining(self, row: UnmergeRow | SplitRow, plan: Plan, now: int) -> Remaining:
        return self._history.remaining(row, plan, now)


def _journals(plan: Plan, profile_id: str, rows: Iterable[StoredRow], now: int) -> Customer:
    """A customer with all that is kept of a multiset of events: what the fold holds after them."""
    customer = Customer(profile_id)
    for stored in rows:
        if isinstance(stored.row, EventRow):
            Admission(plan, stored.row, now).admit(customer, armed=False)
    return customer


def _events(rows: Iterable[StoredRow]) -> list[EventRow]:
    return [stored.row for stored in rows if isinstance(stored.row, EventRow)]


def _act(fold: Fold, act: Act, profile_id: str) -> None:
    fold.clock.seq = act.row.seq
    if profile_id not in fold.customers:
        return
    fold.plan = act.plan
    if act.sweep is not None:
        fold.sweep(act.row, act.sweep, [profile_id])
    else:
        fold.rearm([profile_id])


def _order(step: StoredRow | Act, partition: int = 0) -> tuple[int, int, int]:
    """(time, output partition, seq); the acts of a fold are all on its own partition."""
    return step.row.time, step.partition if isinstance(step, StoredRow) else partition, step.row.seq


def _entries(transitions: Iterable[Transition], members: Iterable[str]) -> dict[str, Transition]:
    """The transition by which each present membership began."""
    began = {change.segment_id: change for change in transitions if change.action == "entered"}
    return {key: began[key] for key in members if key in began}
