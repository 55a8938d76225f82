"""RFM: quintile scores, their classes and the test of a condition (DESIGN §6)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_values import Duration, Model, Names, Path, duration_ms

_canonical = msgspec.json.Encoder(order="deterministic")


def _score(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise Refused("must be a score from 1 to 5", "5 is the best fifth: write [5], or [4, 5]")
    return value


Score = Annotated[int, PlainValidator(_score), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 5})]
Scores = Annotated[tuple[Score, ...], Field(min_length=1, max_length=5, strict=False)]
RfmClass = Literal[
    "champions",
    "loyal",
    "potential-loyalists",
    "new",
    "promising",
    "need-attention",
    "about-to-sleep",
    "at-risk",
    "cannot-lose",
    "hibernating",
]

RFM_CLASSES: Mapping[RfmClass, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "champions": ((5,), (4, 5)),
    "loyal": ((3, 4), (4, 5)),
    "potential-loyalists": ((4, 5), (2, 3)),
    "new": ((5,), (1,)),
    "promising": ((4,), (1,)),
    "need-attention": ((3,), (3,)),
    "about-to-sleep": ((3,), (1, 2)),
    "at-risk": ((1, 2), (3, 4)),
    "cannot-lose": ((1, 2), (5,)),
    "hibernating": ((1, 2), (1, 2)),
}
"""Scores of recency and of frequency: the classes do not overlap and leave nobody out."""


class RfmTest(Model):
    """Quintile scores of how recently, how often and for how much; 5 is best. A dimension left out is any."""

    event: Names = ("Order Completed",)
    of: Path = "properties.total"
    within: Duration | None = None
    recency: Scores | None = None
    frequency: Scores | None = None
    monetary: Scores | None = None
    class_: RfmClass | None = Field(default=None, alias="class")

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)

    @property
    def population(self) -> str:
        """Which cut points it is scored by: those of the same events, amounts and window."""
        shape = {"event": sorted(set(self.event)), "of": self.of, "within": self.within_ms}
        return _canonical.encode(shape).decode()

    @property
    def scores(self) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None, tuple[int, ...] | None]:
        """The scores of recency, frequency and monetary that satisfy it (None: any)."""
        if self.class_ is not None:
            return (*RFM_CLASSES[self.class_], None)
        return self.recency, self.frequency, self.monetary

    @model_validator(mode="after")
    def _scores_or_class(self) -> "RfmTest":
        given = [self.recency, self.frequency, self.monetary]
        if (self.class_ is None) == all(scores is None for scores in given):
            hint = "write class: champions, or recency: [4, 5]"
            raise Refused("needs either a class or scores of recency, frequency or monetary", hint)
        return self
