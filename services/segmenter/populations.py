"""The populations of RFM conditions: whose events, which amounts and which window are scored together (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.contracts.ids import content_id
from headrace.contracts.segment import Definition
from headrace.contracts.segment_conditions import Condition, Rfm, RfmTest, children


@dataclass(frozen=True, slots=True)
class Population:
    """`text` is `RfmTest.population`, which stands for the rest: the names of events, the path of the amounts, the
    window in milliseconds (None: for ever)."""

    text: str
    names: tuple[str, ...]
    of: str
    within_ms: int | None

    @property
    def id(self) -> str:
        """Short, and equal for equal populations."""
        return content_id("r", self.text)


def population_of(test: RfmTest) -> Population:
    return Population(test.population, tuple(sorted(set(test.event))), test.of, test.within_ms)


def populations(definition: Definition) -> set[Population]:
    """Those that the definition's conditions are scored by, at whatever depth."""
    return {population_of(test) for segment in definition.segments() for test in _tests(segment.when)}


def _tests(node: Condition) -> Iterator[RfmTest]:
    if isinstance(node, Rfm):
        yield node.rfm
    for child in children(node):
        yield from _tests(child)
