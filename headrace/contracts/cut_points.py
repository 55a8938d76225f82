"""Cut points of RFM scores: data, computed over the population, published as control records (DESIGN §6)."""

import msgspec

CONTROL = "cut_points"
"""The kind of the control record whose payload is a `CutPoints`."""


class CutPoints(msgspec.Struct, frozen=True):
    """The cut points of one population at `at` (milliseconds), ascending, four each (fewer when there is hardly
    anybody). `population` is `RfmTest.population`. recency: instants in milliseconds; frequency: counts;
    monetary: exact decimals as text. A score is 1 + the cut points strictly below the value."""

    population: str
    version: int
    at: int
    recency: tuple[int, ...] = ()
    frequency: tuple[int, ...] = ()
    monetary: tuple[str, ...] = ()
