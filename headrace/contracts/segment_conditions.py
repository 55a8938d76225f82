"""The conditions of a segment definition (DESIGN §6); docs/segments.md shows each of them at work.

What each one means, to the millisecond, stands in docs/adr/0011-what-a-condition-means.md.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from headrace.contracts.segment_limits import MAX_STEPS
from headrace.contracts.segment_tests import EventTest, TraitTest, Where
from headrace.contracts.segment_values import (
    Duration,
    Key,
    Model,
    Names,
    Path,
    Percentage,
    duration_ms,
)

_canonical = msgspec.json.Encoder(order="deterministic")

LIST_TAG = "list:"
"""A tag that begins so says that the customer is on that static list."""


class _Leaf(Model):
    @cached_property
    def key(self) -> bytes:
        """Canonical JSON: equal for conditions that ask the same."""
        return _canonical.encode(self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Trait(_Leaf):
    trait: TraitTest


class EventCondition(_Leaf):
    event: EventTest


class Step(Model):
    """An event of a sequence; `within` counts from the step before and is not reached: less than."""

    event: Names
    where: Where = ()
    within: Duration | None = None

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)


class Following(Step):
    """What must, or must not, follow the last step within this time."""

    within: Duration


class SequenceTest(Model):
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS, strict=False)]
    then: Following | None = None
    then_not: Following | None = None
    by: Path | None = None
    expires: Duration | None = None

    @property
    def expires_ms(self) -> int | None:
        return None if self.expires is None else duration_ms(self.expires)

    @model_validator(mode="after")
    def _consistent(self) -> "SequenceTest":
        if self.steps[0].within is not None:
            raise ValueError("the first step has no step before it: leave its within out")
        if self.then is not None and self.then_not is not None:
            raise ValueError("must have then or then_not, not both")
        due = 0 if self.then_not is None else duration_ms(self.then_not.within)
        if due and self.expires_ms is not None and self.expires_ms <= due:
            raise ValueError("expires must be longer than then_not's within, or nobody is ever a member")
        return self


class Sequence(_Leaf):
    sequence: SequenceTest


class HeldTest(Model):
    for_: Duration = Field(alias="for")
    condition: "Condition"

    @property
    def for_ms(self) -> int:
        return duration_ms(self.for_)


class Held(_Leaf):
    held: HeldTest


class SegmentTest(Model):
    id: Key
    member: bool = True
    for_: Duration | None = Field(default=None, alias="for")

    @property
    def for_ms(self) -> int | None:
        return None if self.for_ is None else duration_ms(self.for_)


class InSegment(_Leaf):
    segment: SegmentTest


class TagTest(Model):
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Tagged(_Leaf):
    tag: TagTest


Score = Annotated[int, Field(ge=1, le=5)]
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
            raise ValueError("needs recency, frequency or monetary scores, or a class")
        return self


class Rfm(_Leaf):
    rfm: RfmTest


class PercentTest(Model):
    """Ten thousand buckets: from <= bucket / 100 < to."""

    from_: Percentage = Field(alias="from")
    to: Percentage
    salt: Annotated[str, StringConstraints(max_length=100)] = ""

    @model_validator(mode="after")
    def _ascending(self) -> "PercentTest":
        if self.from_ >= self.to:
            raise ValueError("from must be less than to")
        return self


class Percent(_Leaf):
    percent: PercentTest


Latitude = Annotated[float, Field(ge=-90, le=90, strict=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, strict=False)]


class GeoTest(Model):
    """`of` is (latitude, longitude) in degrees."""

    within_km: Annotated[float, Field(gt=0, le=20_100, strict=False)]
    of: Annotated[tuple[Latitude, Longitude], Field(strict=False)]


class Geo(_Leaf):
    geo: GeoTest


class ConsentTest(Model):
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    is_: Literal["granted", "withdrawn"] = Field(default="granted", alias="is")


class Consent(_Leaf):
    consent: ConsentTest


Response = Literal[
    "sent",
    "delivered",
    "failed",
    "bounced",
    "skipped",
    "unknown",
    "opened",
    "clicked",
    "complained",
    "unsubscribed",
]


class MessageTest(Model):
    """`within` is a sliding window, as of events."""

    campaign: Key
    did: Response
    within: Duration | None = None


class Message(_Leaf):
    message: MessageTest


class All(Model):
    all: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class AnyOf(Model):
    any: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class Not(Model):
    not_: "Condition" = Field(alias="not")


def _kind(value: Any) -> str:
    """The one key of a condition, written or parsed."""
    key = next(iter(value if isinstance(value, dict) else type(value).model_fields), "")
    return str(key).rstrip("_")


Condition = Annotated[
    Annotated[Trait, Tag("trait")]
    | Annotated[EventCondition, Tag("event")]
    | Annotated[Sequence, Tag("sequence")]
    | Annotated[Held, Tag("held")]
    | Annotated[InSegment, Tag("segment")]
    | Annotated[Tagged, Tag("tag")]
    | Annotated[Rfm, Tag("rfm")]
    | Annotated[Percent, Tag("percent")]
    | Annotated[Geo, Tag("geo")]
    | Annotated[Consent, Tag("consent")]
    | Annotated[Message, Tag("message")]
    | Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(_kind),
]
Leaf = Trait | EventCondition | Sequence | Held | InSegment | Tagged | Rfm | Percent | Geo | Consent | Message
_CHANNEL_NAMES = ("SMS", "Email", "Viber", "WhatsApp", "Webhook")
_VERBS: Mapping[str, str] = {
    "sent": "Sent",
    "delivered": "Delivered",
    "failed": "Failed",
    "bounced": "Bounced",
    "skipped": "Skipped",
    "unknown": "Unknown",
    "opened": "Opened",
    "clicked": "Link Clicked",
    "complained": "Marked as Spam",
}


def response_events(did: Response) -> tuple[str, ...]:
    """The events on the customer's timeline that say so, on whichever channel."""
    if did == "unsubscribed":
        return ("Unsubscribed",)
    return tuple(f"{channel} {_VERBS[did]}" for channel in _CHANNEL_NAMES)


def children(node: Condition) -> tuple[Condition, ...]:
    """The conditions directly inside of this one."""
    if isinstance(node, All):
        return node.all
    if isinstance(node, AnyOf):
        return node.any
    if isinstance(node, Not):
        return (node.not_,)
    return (node.held.condition,) if isinstance(node, Held) else ()


def referenced(node: Condition) -> set[str]:
    """The segments whose membership it asks for."""
    found = {node.segment.id} if isinstance(node, InSegment) else set()
    for child in children(node):
        found |= referenced(child)
    return found
