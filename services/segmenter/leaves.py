"""What the conditions at the leaves of a definition compile to, and the trees over them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from headrace.contracts.segment import SegmentDefinition
from services.segmenter.atoms import Aggregate
from services.segmenter.compare import Mismatches, compiled, satisfied
from services.segmenter.customer import Customer
from services.segmenter.paths import Steps, decode_json, lookup
from services.segmenter.timed import TimedLeaf


class TraitLeaf:
    """One comparison of a trait, a consent or a tag."""

    __slots__ = ("_exists", "_mismatches", "_test", "index", "operand", "operator", "root", "steps")

    def __init__(self, index: int, steps: Steps, operator: str, operand: Any, mismatches: Mismatches) -> None:
        self.index = index
        self.steps = steps
        self.root = steps[0][0]
        self.operator, self.operand = operator, operand
        self._test, self._exists = compiled(operator, operand)
        self._mismatches = mismatches

    def values(self, customer: Customer) -> Sequence[Any]:
        return trait_values(customer.traits.get(self.root), self.steps)

    def truth(self, customer: Customer, now: int) -> bool:
        values = trait_values(customer.traits.get(self.root), self.steps)
        return satisfied(values, self._test, self._exists, self._mismatches)

    def past(self, customer: Customer, instant: int) -> bool:
        values = trait_values(customer.trait_at(self.root, instant), self.steps)
        return satisfied(values, self._test, self._exists, self._mismatches)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        return [at for at, _ in customer.changed.get(self.root, ()) if low < at <= high]


class EventLeaf:
    """A count or a sum of the customer's events compared in a window."""

    __slots__ = ("_empty", "_journal", "aggregate", "index")

    def __init__(self, index: int, aggregate: Aggregate) -> None:
        self.index = index
        self.aggregate = aggregate
        self._journal = aggregate.atom.journal
        self._empty = aggregate.truth(None, 0)

    def truth(self, customer: Customer, now: int) -> bool:
        journal = customer.journal(self._journal)
        return self._empty if journal is None else self.aggregate.truth(journal, now)

    def past(self, customer: Customer, instant: int) -> bool:
        journal = customer.journal(self._journal)
        return self._empty if journal is None else self.aggregate.past(journal, instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        journal = customer.journal(self._journal)
        return () if journal is None else self.aggregate.breakpoints(journal, low, high)


PlanLeaf = TraitLeaf | EventLeaf | TimedLeaf
Formula = Callable[[Customer, int], bool]


class Segment:
    """A published version: `truth` of its whole tree, and its leaves in the order of the definition (`places`: by
    index). `needs`: of some leaves, what they must be for the segment to be true at all. `asks_for` are the
    segments whose membership it looks at, `rank` is greater than all of theirs, `populations` those
    by whose cut points it is scored, `computed` the computed traits that it looks at, `slot` names the definition
    that it comes from."""

    __slots__ = (
        "asks_for",
        "computed",
        "definition",
        "id",
        "leaves",
        "name",
        "needs",
        "places",
        "populations",
        "rank",
        "slot",
        "truth",
        "version",
    )

    def __init__(
        self,
        definition: SegmentDefinition,
        version: int,
        truth: Formula,
        leaves: Sequence[PlanLeaf],
        needs: Mapping[int, bool],
        *,
        rank: int = 0,
        slot: str = "",
        asks_for: frozenset[str] = frozenset(),
        populations: frozenset[str] = frozenset(),
        computed: frozenset[str] = frozenset(),
    ) -> None:
        self.definition = definition
        self.id = definition.id
        self.name = definition.name
        self.version = version
        self.truth = truth
        self.leaves = tuple(leaves)
        self.needs = needs
        self.rank = rank
        self.asks_for = asks_for
        self.populations = populations
        self.computed = computed
        self.slot = slot or definition.id
        self.places = {leaf.index: place for place, leaf in enumerate(self.leaves)}


class Reach(NamedTuple):
    """Whom a flip of a leaf reaches, by segment id: `lost` are false now, whatever their other leaves say, `open`
    may be either."""

    lost: dict[str, Segment]
    open: dict[str, Segment]


def reach(segments: Iterable[Segment], index: int, truth: bool) -> Reach:
    """Whom leaf `index` reaches when it becomes `truth`, among the segments that have it."""
    found = Reach({}, {})
    for segment in segments:
        by_id = found.open if segment.needs.get(index, truth) is truth else found.lost
        by_id[segment.id] = segment
    return found


@lru_cache(maxsize=4_096)  # many leaves look at one trait, and most customers have one of few values
def trait_values(raw: bytes | None, steps: Steps) -> Sequence[Any]:
    """Every value under the path in a trait's JSON text; none where there is no trait."""
    return () if raw is None else lookup({steps[0][0]: decode_json(raw)}, steps)
