"""The conditions of a segment definition (DESIGN §6); docs/segments.md shows each of them at work.

What each one means, to the millisecond, stands in docs/adr/0011-what-a-condition-means.md.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_limits import MAX_STEPS
from headrace.contracts.segment_rfm import RFM_CLASSES as RFM_CLASSES
from headrace.contracts.segment_rfm import RfmTest as RfmTest
from headrace.contracts.segment_shares import GeoTest as GeoTest
from headrace.contracts.segment_shares import PercentTest as PercentTest
from headrace.contracts.segment_tests import EventTest, TraitTest, Where
from headrace.contracts.segment_values import (
    Duration,
    Key,
    Model,
    Names,
    Path,
    duration_ms,
    storable,
)

_canonical = msgspec.json.Encoder(order="deterministic")

CHANNEL = r"^[a-z0-9][a-z0-9_-]{0,31}$"
LIST_TAG = "list:"
"""A tag that begins so says that the customer is on that static list."""


class _Leaf(Model):
    @cached_property
    def key(self) -> bytes:
        """Canonical JSON: equal for conditions that ask the same."""
        return _canonical.encode(self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Trait(_Leaf):
    """What is known about the customer satisfies a test."""

    trait: TraitTest


class EventCondition(_Leaf):
    """What the customer did satisfies a test."""

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
            raise Refused("has a first step with within, and no step before it", "leave that within out")
        if self.then is not None and self.then_not is not None:
            raise Refused("has both then and then_not", "keep one, or make two sequences under all:")
        due = 0 if self.then_not is None else duration_ms(self.then_not.within)
        if due and self.expires_ms is not None and self.expires_ms <= due:
            raise Refused(
                "expires no later than then_not's within, so nobody is ever a member",
                f"write expires longer than {self.then_not.within if self.then_not else ''}",
            )
        return self


class Sequence(_Leaf):
    """The customer did one thing after the other, or did not go on."""

    sequence: SequenceTest


class HeldTest(Model):
    for_: Duration = Field(alias="for")
    condition: "Condition"

    @property
    def for_ms(self) -> int:
        return duration_ms(self.for_)


class Held(_Leaf):
    """The condition has been true without a break for so long."""

    held: HeldTest


class SegmentTest(Model):
    id: Key
    member: bool = True
    for_: Duration | None = Field(default=None, alias="for")

    @property
    def for_ms(self) -> int | None:
        return None if self.for_ is None else duration_ms(self.for_)


class InSegment(_Leaf):
    """The customer is in another segment, or is not."""

    segment: SegmentTest


class TagTest(Model):
    name: Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(storable)]


class Tagged(_Leaf):
    """The tag is on the customer."""

    tag: TagTest


class Rfm(_Leaf):
    """How recently, how often and for how much the customer bought, compared with everybody."""

    rfm: RfmTest


class Percent(_Leaf):
    """The customer is in this stable, random share of all."""

    percent: PercentTest


class Geo(_Leaf):
    """The last known location is near."""

    geo: GeoTest


class ConsentTest(Model):
    channel: Annotated[str, StringConstraints(pattern=CHANNEL)]
    is_: Literal["granted", "withdrawn"] = Field(default="granted", alias="is")


class Consent(_Leaf):
    """The customer's consent to marketing on a channel."""

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
    """How the customer responded to a campaign."""

    message: MessageTest


class All(Model):
    """Every one of these is true."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class AnyOf(Model):
    """At least one of these is true."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class Not(Model):
    """This is not true."""

    not_: "Condition" = Field(alias="not")


def _kind(value: Any) -> str:
    """The one key of a condition, written or parsed."""
    key = next(iter(value if isinstance(value, dict) else getattr(type(value), "model_fields", ())), "")
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
