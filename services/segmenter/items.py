"""Atoms whose events are kept with a value each: what avg, min, max, distinct, first, last and RFM look at."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from services.segmenter.aggregates import Aggregate, Stored
from services.segmenter.compare import Mismatches
from services.segmenter.customer import Customer
from services.segmenter.filters import CURRENCY_PATH, AnyFilter
from services.segmenter.journal import ItemState, Journal, Origin, hold
from services.segmenter.paths import EventView, Steps
from services.segmenter.timed import TimedLeaf

MAX_ITEMS = 10_000
MAX_LOOKED_BACK = 1_000
"""The same where somebody looks back: each instant at which something changed is looked at, for each event."""

Span = tuple[int, int]


class Scope:
    """Which events of its names a piece of a plan is about, besides what its filters say: those within an absolute
    window, and in a currency."""

    __slots__ = ("currency", "span")

    def __init__(self, span: Span | None, currency: str | None) -> None:
        self.span = span
        self.currency = None if currency is None else currency.upper()

    def covers(self, view: EventView, mismatches: Mismatches) -> bool:
        if self.span is not None and not self.span[0] <= view.ts < self.span[1]:
            return False
        if self.currency is None:
            return True
        named = any(isinstance(code, str) and code.upper() == self.currency for code in view.values(CURRENCY_PATH))
        mismatches.other_currency += not named
        return named


class ItemAtom:
    """One aggregate of one path over the events of some names. `window` is how far back events are held (None: for
    ever, 0: none, the base is enough), `leaves` who looks at it."""

    __slots__ = (
        "aggregate",
        "based",
        "filters",
        "id",
        "journal",
        "keep",
        "leaves",
        "looked_back",
        "most",
        "names",
        "of",
        "scope",
        "window",
    )

    def __init__(
        self,
        key: str,
        journal: str,
        names: Sequence[str],
        filters: Sequence[AnyFilter],
        of: Steps,
        scope: Scope,
        aggregate: Aggregate,
    ) -> None:
        self.id = key
        self.journal = journal
        self.names = tuple(names)
        self.filters = tuple(filters)
        self.of = of
        self.scope = scope
        self.aggregate = aggregate
        self.window: int | None = 0
        self.keep = 0
        self.based = False
        self.most = 1
        self.looked_back = False
        self.leaves: list[TimedLeaf] = []

    @property
    def needs(self) -> tuple[Any, ...]:
        """What it must have kept; equal or less is covered by an atom that keeps more."""
        return self.window, self.keep, self.based, self.most, self.looked_back

    def need(self, window: int | None, lookback: int, most: int = 1) -> None:
        """A condition looks at the events of the last `window` ms (None: at all), and back by `lookback`; `most`:
        how many different values it must be able to tell."""
        self.most = max(self.most, min(most, MAX_ITEMS))
        if window is None and not lookback:
            self.based = True
            return
        if window is None:
            self.window = None
        elif self.window is not None:
            self.window = max(self.window, window + lookback)
        self.keep = max(self.keep, self.aggregate.keep or (MAX_LOOKED_BACK if lookback else MAX_ITEMS))
        if lookback:
            self.keep = max(self.keep, MAX_LOOKED_BACK)
            self.looked_back = True

    def hold_everything(self) -> None:
        """For explanations."""
        self.looked_back = True
        self.window, self.keep, self.based, self.most = None, MAX_ITEMS, True, MAX_ITEMS

    def let_in(
        self, customer: Customer, view: EventView, origin: Origin, now: int, mismatches: Mismatches
    ) -> bool:
        """Let an event in that passes the filters, however late; False when it has no part."""
        if not self.scope.covers(view, mismatches):
            return False
        value = self._stored(view, mismatches)
        if value is None:
            return False
        journal = customer.opened(self.journal)
        state = journal.opened_items(self.id)
        if self.based:
            state.base = self.aggregate.added(state.base, value, (view.ts, *origin), self.most)
        if self.keep and (self.window is None or view.ts > now - self.window):
            number = journal.place(view.ts, origin)
            if self.looked_back or self._matters(state, number, value):
                hold(state, number, value)
        self._prune(journal, state, now)
        return True

    def _stored(self, view: EventView, mismatches: Mismatches) -> Stored | None:
        """What is kept of the event; None when it has no part."""
        return self.aggregate.stored(view.values(self.of), mismatches)

    def _matters(self, state: ItemState, number: int, value: Stored) -> bool:
        """Whether no later event outdoes this one; the earlier ones that it outdoes are forgotten."""
        outdoes = self.aggregate.outdoes
        place = bisect_left(state.held, number)
        if any(outdoes(later, value) for later in state.values[place:]):
            return False
        begin = place
        while begin and outdoes(value, state.values[begin - 1]):
            begin -= 1
        del state.held[begin:place], state.values[begin:place]
        return True

    def _prune(self, journal: Journal, state: ItemState, now: int) -> None:
        gone = 0
        if self.window is not None and state.held:
            gone = journal.behind(state.held, now - self.window)
        surplus = len(state.held) - gone - self.keep
        if surplus > 0:
            gone += surplus
            state.approximate = state.approximate or self.keep >= MAX_LOOKED_BACK
        if gone:
            del state.held[:gone], state.values[:gone]

    def slice(self, journal: Journal, state: ItemState, after: int | None, until: int | None) -> tuple[int, int]:
        """Where the values of the events with after < ts <= until (None: no bound) begin and end."""
        held = state.held
        start = 0 if after is None or not held else journal.behind(held, after)
        end = len(held) if until is None or not held else journal.behind(held, until)
        return start, max(start, end)
