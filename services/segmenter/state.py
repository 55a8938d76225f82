"""A customer's state under a plan: events are let in, deadlines are armed, what nobody needs goes."""

from headrace.contracts.profile_event import EventRow
from services.segmenter.customer import Customer
from services.segmenter.journal import Journal, Origin
from services.segmenter.paths import EventView, event_name
from services.segmenter.plan import Plan


def admit(plan: Plan, customer: Customer, row: EventRow, now: int, *, armed: bool = True) -> dict[int, bool]:
    """Let an event in; return the leaves that flip, each with its new truth. Not `armed`: the customer's deadline
    stays as it is."""
    index = plan.events.get(event_name(row) or "")
    if index is None:
        return {}
    view = EventView(row)
    origin = row.source, row.message_id
    flipped: dict[int, bool] = {}
    touched: dict[str, Journal] = {}
    for atom in index.matching(view, plan.mismatches):
        amount = None if atom.of is None else atom.amount(view, plan.mismatches)
        if amount is None and atom.of is not None:
            continue
        journal = touched[atom.journal] = customer.opened(atom.journal)
        for aggregate, truth in atom.admit(journal, now, row.ts, origin, amount):
            flipped[aggregate.index] = truth
    if touched:
        for key, journal in touched.items():
            _tidy(plan, key, journal, now)
        if armed:
            customer.arm({key: journal.due for key, journal in touched.items()})
    return flipped


def wake(plan: Plan, customer: Customer, due: int) -> list[tuple[int, bool, Origin]]:
    """It is `due`: the leaves that flip, each with its new truth and the origin of the event that decides. What
    comes next is armed."""
    flipped: list[tuple[int, bool, Origin]] = []
    dues: dict[str, int] = {}
    for key in customer.awake(due):
        journal = customer.opened(key)
        for atom_id in [atom_id for atom_id, at in journal.dues.items() if at <= due]:
            atom = plan.atoms.get(atom_id)
            if atom is None:
                journal.forget(atom_id)
                continue
            flipped += [
                (aggregate.index, truth, origin) for (aggregate, truth), origin in atom.flips_at(journal, due)
            ]
            atom.arm(journal, due)
        _tidy(plan, key, journal, due)
        dues[key] = journal.due
    customer.arm(dues)
    return flipped


def rearm(plan: Plan, customer: Customer, now: int) -> None:
    """Arm every deadline: the plan or the state is another one. What the plan does not know is forgotten."""
    for key in customer.journal_keys():
        if key not in plan.windows:
            customer.forget(key)
            continue
        journal = customer.opened(key)
        for atom_id in journal.atom_ids():
            atom = plan.atoms.get(atom_id)
            if atom is None:
                journal.forget(atom_id)
            else:
                atom.arm(journal, now)
        _tidy(plan, key, journal, now)
        customer.arm({key: journal.due})


def _tidy(plan: Plan, key: str, journal: Journal, now: int) -> None:
    window = plan.windows[key]
    if window is not None:
        journal.drop_until(now - window)
    journal.tidy()
