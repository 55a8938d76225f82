"""One way to recompute a customer (DESIGN §4.7): definitions, merges, rebuilds and verification all use it.

A customer's history up to record (q, s) is its own rows before s and, for each merge row among them, the
loser's history up to the tombstone that it names. Combined, rows are ordered by (time, output partition,
seq), as the live fold saw them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import msgspec

from headrace.contracts.profile_event import ControlRow, EventRow, MergeRow, ProfileRow, TombstoneRow
from services.segmenter.catalog import Catalog, Sweep, Version
from services.segmenter.change import Transition
from services.segmenter.compiler import compile_plan
from services.segmenter.customer import Customer, changed_at, trait_changes
from services.segmenter.fold import Clock, Fold, Merged
from services.segmenter.memberships import Membership
from services.segmenter.plan import NOTHING, Parts, Plan, missing
from services.segmenter.state import Admission


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the timeline with the output partition it was written to."""

    partition: int
    row: ProfileRow


@dataclass(frozen=True)
class Act:
    """A control row with what it does: the definitions from it on, and the sweep it asks for. `later` are versions
    whose state is kept for rows behind it, `like` an earlier act from which on nothing else was evaluated."""

    row: ControlRow
    catalog: Catalog
    later: Sequence[tuple[str, Version]]
    sweep: Sweep | None
    like: "Act | None" = None
    _lacking: dict[int, Parts] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """Compiled when somebody is there to be evaluated: most definitions are older than most customers."""
        return plan_of(self.catalog, self.later) if self.like is None else self.like.plan

    def lacking(self, act: "Act | None", before: Plan) -> Parts:
        """What the plan needs and `before`, that of the act before, has not kept: hardly ever anything, but a
        segment that is looked back at may be resumed, or come to ask for others that change later."""
        if act is None:
            return missing(before, self.plan)
        if before is self.plan:
            return NOTHING
        if act.row.seq not in self._lacking:
            self._lacking[act.row.seq] = missing(before, self.plan)
        return self._lacking[act.row.seq]


def plan_of(catalog: Catalog, also: Iterable[tuple[str, Version]] = ()) -> Plan:
    """The plan of a catalog; `also` are versions whose state is kept for later."""
    prepared = [version.parse() for _, version in (*catalog.pending(), *also)]
    return compile_plan(
        [(version.parse(), version.number) for _, version in catalog.publishing()],
        [(version.parse(), version.number) for _, version in catalog.paused()],
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


def script(controls: Sequence[ControlRow]) -> list[Act]:
    """What the control rows of one partition do, each plan already keeping the state of all later versions:
    folding from the first row, no definition then needs a backfill."""
    later = versions_in(controls)
    catalog = Catalog()
    acts: list[Act] = []
    for row in controls:
        before, (catalog, sweep) = catalog, catalog.apply(row)
        # what is being prepared is among the later versions already
        same = acts and (catalog is before or row.control == "define")
        acts.append(Act(row, catalog, later, sweep, (acts[-1].like or acts[-1]) if same else None))
    return acts


class Scripts:
    """Compiled scripts, kept from one history to the next: control rows are few and do not change."""

    def __init__(self, capacity: int = 64) -> None:
        self._known: dict[tuple[str, ...], list[Act]] = {}
        self._capacity = capacity

    def of(self, controls: Sequence[ControlRow]) -> list[Act]:
        key = tuple(row.id for row in controls)
        found = self._known.pop(key, None)
        if found is None:
            found = script(controls)
        self._known[key] = found  # the last used stands last
        if len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]
        return found


class History:
    """Rows read for some customers, with everybody who was merged into them, and the control rows.

    `rows`: each profile's own rows, ascending. `controls`: each partition's control rows, ascending.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[StoredRow]],
        controls: Mapping[int, Sequence[ControlRow]],
        scripts: "Scripts",
    ) -> None:
        self._rows = rows
        self._controls = controls
        self._scripts = scripts
        self._losers: dict[tuple[str, int], Mapping[str, Membership]] = {}

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
        if not own or not isinstance(own[-1].row, EventRow | MergeRow):
            return None
        return own[-1].partition

    def setter(self, profile_id: str, trait: str, before: int) -> EventRow | MergeRow | None:
        """The row that last changed the trait."""
        for stored in reversed(self._own(profile_id, before)):
            if isinstance(stored.row, EventRow | MergeRow) and trait in trait_changes(stored.row):
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
        rows = self.combined(row.profile_id, row.seq) + self.combined(row.loser, row.loser_seq)
        rows.sort(key=_order)

        @cache  # most merges let nobody enter, and do not ask
        def entries() -> dict[str, Transition]:
            together = self._fold(row.profile_id, partition, row.seq, rows, now)
            members = together.customers.get(row.profile_id, Customer()).members
            return _entries(together.transitions, members)

        return Merged(_journals(plan, row.profile_id, rows, now), self._loser(row), entries)

    def _loser(self, row: MergeRow) -> Mapping[str, Membership]:
        """What the loser was a member of before its tombstone."""
        if (row.loser, row.loser_seq) not in self._losers:
            # those merged into it before it: a chain of merges must not become as deep a chain of calls
            chain = [row]
            for merge in chain:
                chain += [s.row for s in self._own(merge.loser, merge.loser_seq) if isinstance(s.row, MergeRow)]
            for merge in reversed(chain):
                loser = self.replay(
                    merge.loser, merge.loser_partition, merge.loser_seq, self._tombstone(merge).low
                )
                members = loser.customers.get(merge.loser, Customer()).members
                self._losers[merge.loser, merge.loser_seq] = members
        return self._losers[row.loser, row.loser_seq]

    def _fold(self, profile_id: str, partition: int, before: int, rows: Sequence[StoredRow], now: int) -> Fold:
        acts = self._script(partition, before)
        steps: list[Act | StoredRow] = [*acts, *rows]
        steps.sort(key=lambda step: _order(step, partition))
        act: Act | None = None
        undefined = [] if not acts or isinstance(steps[0], Act) else acts[0].later
        fold = Fold(plan_of(Catalog(), undefined), {}, Clock(), past=self.on(partition))
        applied: list[StoredRow] = []
        for item in steps:
            fold.advance(min(item.row.low, now))
            if isinstance(item, Act):
                customer = fold.customers.get(profile_id)
                if customer is not None and (parts := item.lacking(act, fold.plan)):
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
        fold.advance(now)
        return fold

    def _script(self, partition: int, before: int) -> list[Act]:
        return self._scripts.of([row for row in self._controls.get(partition, ()) if row.seq < before])

    def _after(self, plan: Plan, profile_id: str, own: Sequence[StoredRow], now: int) -> Customer:
        """What is kept of a customer after these rows of its own."""
        customer = _journals(plan, profile_id, sorted(self._flat(own), key=_order), now)
        for stored in own:
            row = stored.row
            if isinstance(row, EventRow | MergeRow):
                customer.take_identity(row)
                customer.take_traits(trait_changes(row), changed_at(row), plan.kept_traits, plan.lookbacks, now)
        return customer

    def _flat(self, own: Sequence[StoredRow]) -> Iterator[StoredRow]:
        """The events among a customer's rows, and those of everybody who was merged into it by one of them."""
        left = [own]
        while left:
            for stored in left.pop():
                if isinstance(stored.row, EventRow):
                    yield stored
                elif isinstance(stored.row, MergeRow):
                    left.append(self._own(stored.row.loser, stored.row.loser_seq))

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


def _journals(plan: Plan, profile_id: str, rows: Iterable[StoredRow], now: int) -> Customer:
    """A customer with all that is kept of a multiset of events: what the fold holds after them."""
    customer = Customer(profile_id)
    for stored in rows:
        if isinstance(stored.row, EventRow):
            Admission(plan, stored.row, now).admit(customer, armed=False)
    return customer


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
