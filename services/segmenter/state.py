"""A customer's state under a plan: events are let in, deadlines are armed, what nobody needs goes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from headrace.contracts.profile_event import EventRow
from services.segmenter.atoms import Atom
from services.segmenter.computed import ComputedTrait
from services.segmenter.customer import Customer
from services.segmenter.items import ItemAtom
from services.segmenter.journal import Journal, Origin
from services.segmenter.latest import may_say, said, take_latest
from services.segmenter.paths import EventView, event_name
from services.segmenter.plan import Piece, Plan
from services.segmenter.sequence_leaf import SequenceLeaf, StepPiece
from services.segmenter.timed import TimedLeaf
from services.segmenter.trait_atoms import TraitAtom

Flips = dict[int, bool]
"""Leaves that are not what they were, by index, each with its new truth."""

_NOTHING: Sequence[Piece] = ()


class Admission:
    """An event on its way into a customer: `pieces` of the plan that it belongs to, `says` what the latest
    decides, and `watchers`, who look at any of that as a whole."""

    __slots__ = ("_now", "_origin", "_plan", "_says", "_view", "pieces", "watchers")

    def __init__(self, plan: Plan, row: EventRow, now: int) -> None:
        self._plan = plan
        self._now = now
        self._view = EventView(row)
        self._origin = row.source, row.message_id
        index = plan.events.get(event_name(row) or "")
        self.pieces = _NOTHING if index is None else index.matching(self._view, plan.mismatches)
        if plan.every_event:
            self.pieces = [*self.pieces, *plan.every_event]
        self._says: dict[str, Any] = {}
        if plan.latest and may_say(row, plan.latest):
            self._says = said(self._view, plan.latest)
        self.watchers: dict[str, TimedLeaf] = {}
        if plan.timed:
            self._find_watchers()

    def _find_watchers(self) -> None:
        for piece in self.pieces:
            for leaf in piece.leaf.leaves if isinstance(piece, StepPiece) else piece.leaves:
                self.watchers[leaf.id] = leaf
        for kind in self._says:
            for leaf in self._plan.timed_by_latest.get(kind, ()):
                self.watchers[leaf.id] = leaf

    def computed(self) -> list[ComputedTrait]:
        """The published traits that it may change."""
        found = {trait.due: trait for piece in self.pieces if type(piece) is TraitAtom for trait in piece.traits}
        return [found[key] for key in sorted(found)]

    @property
    def vain(self) -> bool:
        """Whether nothing of the plan is about this event."""
        return not self.pieces and not self._says

    def admit(self, customer: Customer, *, armed: bool = True) -> Flips:
        """Let the event in; return the counts and sums that flip. Not `armed`: the customer's deadlines stay as
        they are."""
        plan, view, origin, now = self._plan, self._view, self._origin, self._now
        flipped: Flips = {}
        touched: dict[str, Journal] = {}
        steps: dict[SequenceLeaf, int] = {}
        for piece in self.pieces:
            if type(piece) is Atom:
                if piece.scope is not None and not piece.scope.covers(view, plan.mismatches):
                    continue
                amount = None if piece.of is None else piece.amount(view, plan.mismatches)
                if amount is None and piece.of is not None:
                    continue
                journal = touched.get(piece.journal)
                if journal is None:
                    journal = touched[piece.journal] = customer.opened(piece.journal)
                for aggregate, truth in piece.admit(journal, now, view.ts, origin, amount):
                    flipped[aggregate.index] = truth
            elif isinstance(piece, ItemAtom):
                if piece.let_in(customer, view, origin, now, plan.mismatches):
                    touched[piece.journal] = customer.opened(piece.journal)
            elif type(piece) is StepPiece:
                steps[piece.leaf] = steps.get(piece.leaf, 0) | piece.bit
        for leaf, bits in steps.items():
            if keys := leaf.keys(view):
                leaf.let_in(customer, keys, view.ts, origin, bits, now)
        for kind, value in self._says.items():
            take_latest(customer, kind, view.ts, origin, value, now - plan.latest[kind])
        if touched:
            for key, journal in touched.items():
                _tidy(plan, key, journal, now)
            if armed:
                customer.arm({key: journal.due for key, journal in touched.items()})
        return flipped


def truths(leaves: Iterable[TimedLeaf], customer: Customer, now: int) -> list[bool]:
    return [leaf.truth(customer, now) for leaf in leaves]


def flips(leaves: Collection[TimedLeaf], before: Sequence[bool], customer: Customer, now: int) -> Flips:
    """Those of the leaves that are not what they were, once something has touched them. They are armed anew."""
    flipped: Flips = {}
    for leaf, was in zip(leaves, before, strict=True):
        if (truth := leaf.truth(customer, now)) is not was:
            flipped[leaf.index] = truth
    customer.arm({leaf.id: leaf.next_change(customer, now) for leaf in leaves})
    return flipped


def wake(plan: Plan, customer: Customer, due: int) -> list[tuple[int, bool, Origin | None]]:
    """It is `due`: the leaves that flip, each with its new truth and the origin of the event that decides, if one
    does. What comes next is armed."""
    awake = customer.awake(due)
    dues = dict.fromkeys(awake, 0)
    leaves = [plan.timed[key] for key in awake if key in plan.timed]
    # before the journals, which then forget what a moment ago still counted
    flipped = [
        (leaf.index, truth, leaf.anchor(customer, due))
        for leaf in leaves
        if (truth := leaf.truth(customer, due)) is not leaf.truth(customer, due - 1)
    ]
    for key in awake:
        if key in plan.windows:
            flipped += _wake_journal(plan, customer, key, due)
            dues[key] = customer.opened(key).due
    dues.update((leaf.id, leaf.next_change(customer, due)) for leaf in leaves)
    customer.arm(dues)
    return flipped


def _wake_journal(plan: Plan, customer: Customer, key: str, due: int) -> list[tuple[int, bool, Origin | None]]:
    journal = customer.opened(key)
    flipped: list[tuple[int, bool, Origin | None]] = []
    for atom_id in [atom_id for atom_id, at in journal.dues.items() if at <= due]:
        atom = plan.atoms.get(atom_id)
        if atom is None:
            journal.forget(atom_id)
            continue
        flipped += [(aggregate.index, truth, origin) for (aggregate, truth), origin in atom.flips_at(journal, due)]
        atom.arm(journal, due)
    _tidy(plan, key, journal, due)
    return flipped


def rearm(plan: Plan, customer: Customer, now: int) -> None:
    """Arm every deadline: the plan or the state is another one. What the plan does not know is forgotten."""
    forget(plan, customer)
    for key in customer.journal_keys():
        journal = customer.opened(key)
        for atom_id in journal.atom_ids():
            if atom_id in plan.atoms:
                plan.atoms[atom_id].arm(journal, now)
        _tidy(plan, key, journal, now)
        customer.arm({key: journal.due})
    customer.arm({key: leaf.next_change(customer, now) for key, leaf in plan.timed.items()})
    customer.arm({key: trait.figure.next_change(customer, now) for key, trait in plan.computed.items()})


def forget(plan: Plan, customer: Customer) -> bool:
    """Forget what the plan does not know. True when there was any."""
    found = False
    for key in customer.journal_keys():
        if key not in plan.windows:
            customer.forget(key)
            found = True
            continue
        journal = customer.opened(key)
        for atom_id in journal.atom_ids():
            if atom_id not in plan.atoms and atom_id not in plan.items:
                journal.forget(atom_id)
                found = True
    known = (
        (customer.runs, plan.sequences),
        (customer.latest, plan.latest),
        (customer.changed, plan.lookbacks),
        (customer.scores, plan.scored),
    )
    for kept, needed in known:
        for key in [key for key in kept if key not in needed]:
            del kept[key]
            found = True
    armed = {*plan.timed, *plan.windows, *plan.computed}
    if stale := [key for key in customer.armed if key not in armed]:
        customer.arm(dict.fromkeys(stale, 0))
    return found


def rearm_leaves(
    plan: Plan, customer: Customer, now: int, journals: Collection[str], leaves: Collection[str]
) -> bool:
    """Arm the deadlines of these journals and leaves alone: they are new to the customer. True when any of them
    is another than before, also behind the one that the customer is due at."""
    known: Mapping[str, TimedLeaf] = plan.timed
    moved = False
    dues = {key: known[key].next_change(customer, now) for key in leaves}
    for key in journals:
        if customer.journal(key) is not None:
            journal = customer.opened(key)
            before = journal.dues.copy()
            for atom_id in journal.atom_ids():
                if atom_id in plan.atoms:
                    plan.atoms[atom_id].arm(journal, now)
            moved = moved or journal.dues != before
            dues[key] = journal.due
    return customer.arm(dues) or moved


def _tidy(plan: Plan, key: str, journal: Journal, now: int) -> None:
    window = plan.windows[key]
    if window is not None:
        journal.drop_until(now - window)
    journal.tidy()
