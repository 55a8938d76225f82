"""Campaigns that start each other: campaign → what it does → segments and events that notice → campaign. Pure.

Without a pause somewhere on the way such a circle would write to a customer again and again, so it is refused
(DESIGN §7). A scheduled campaign is started by its clock, whatever others do, and is on no circle.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from headrace.contracts.campaign import CampaignDefinition, EventTrigger, SegmentTrigger
from headrace.contracts.campaign_steps import (
    AwardPointsStep,
    SetTraitStep,
    TagStep,
    VoucherStep,
    WebhookStep,
    walk,
)
from headrace.contracts.definition import SendChannel
from headrace.contracts.segment import SegmentDefinition
from headrace.contracts.segment_conditions import (
    Condition,
    EventCondition,
    InSegment,
    Message,
    Response,
    Rfm,
    Sequence,
    Step,
    Tagged,
    Trait,
    children,
    response_events,
)
from headrace.contracts.segment_tests import EventTest
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_references import computed_id

PAUSE_MS = 86_400_000
"""A customer who enters a campaign of the circle at most once in this time is not written to without end."""
_CHANNEL_NAMES = {"sms": "SMS", "email": "Email", "viber": "Viber", "whatsapp": "WhatsApp"}


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that a campaign leaves on a customer and a segment or trigger may look at. `campaign`: only when
    this one did it."""

    kind: Literal["event", "trait", "tag", "message"]
    name: str
    campaign: str | None = None
    through: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Circle:
    """Ids of campaigns, each of which starts the next and the last one the first; `told` is the whole way."""

    campaigns: tuple[str, ...]
    told: str


def circles(
    campaigns: Mapping[str, CampaignDefinition],
    segments: Mapping[str, SegmentDefinition],
    traits: Mapping[str, TraitDefinition],
) -> Iterator[Circle]:
    """Each set of campaigns that start each other without a pause, once. Segments are by their own ids: those of
    stages too."""
    going = {key: one for key, one in campaigns.items() if not pauses(one)}
    looks = {key: tuple(_signs(one, segments, traits)) for key, one in going.items()}
    edges = {
        key: {other: how for other in going if (how := _how(left_by(one), key, looks[other])) is not None}
        for key, one in going.items()
    }
    told: set[frozenset[str]] = set()
    for start in sorted(edges):
        way = _around(start, edges)
        if way and frozenset(way) not in told:
            told.add(frozenset(way))
            yield Circle(tuple(way), _told(way, edges))


def pauses(campaign: CampaignDefinition) -> bool:
    """Whether a customer enters it once, or not twice within a day."""
    after = campaign.re_entry_ms
    return after is not None and (after == 0 or after >= PAUSE_MS)


def left_by(campaign: CampaignDefinition) -> frozenset[tuple[str, str]]:
    """What the campaign leaves on its customers: kind and name of each sign."""
    found: set[tuple[str, str]] = set()
    channels: set[str] = set()
    for _, send in campaign.sends:
        channels |= {*get_args(SendChannel)} if "preferred" in send.channels else {*send.channels}
    names = {_CHANNEL_NAMES[channel] for channel in channels}
    for _, step in walk(campaign.steps):
        if isinstance(step, SetTraitStep):
            found |= {("trait", name.partition(".")[0]) for name in step.set_trait}
        elif isinstance(step, TagStep):
            found |= {("tag", step.tag.name), ("event", "Tag Removed" if step.tag.remove else "Tag Added")}
        elif isinstance(step, AwardPointsStep):
            found.add(("event", "Points Awarded"))
        elif isinstance(step, VoucherStep):
            found.add(("event", "Voucher Assigned"))
        elif isinstance(step, WebhookStep):
            names.add("Webhook")
    if not names:
        return frozenset(found)
    for did in get_args(Response):
        found.add(("message", did))
        found |= {("event", one) for one in response_events(did) if one == "Unsubscribed" or _by(one, names)}
    return frozenset(found)


def _by(event: str, names: Iterable[str]) -> bool:
    return event.partition(" ")[0] in names


def _signs(
    campaign: CampaignDefinition,
    segments: Mapping[str, SegmentDefinition],
    traits: Mapping[str, TraitDefinition],
) -> Iterator[Sign]:
    """What starts the campaign."""
    if isinstance(campaign.trigger, EventTrigger):
        yield Sign("event", campaign.trigger.event)
    elif isinstance(campaign.trigger, SegmentTrigger):
        yield from _Reader(segments, traits).segment(campaign.trigger.segment, ())


class _Reader:
    """What a segment looks at, with what the segments that it asks for look at; each of them once."""

    def __init__(self, segments: Mapping[str, SegmentDefinition], traits: Mapping[str, TraitDefinition]) -> None:
        self._segments = segments
        self._traits = traits
        self._seen: set[str] = set()

    def segment(self, id: str, through: tuple[str, ...]) -> Iterator[Sign]:
        definition = self._segments.get(id)
        if definition is not None and id not in self._seen:
            self._seen.add(id)
            yield from self._condition(definition.when, (f"segment {id}", *through))

    def _condition(self, node: Condition, through: tuple[str, ...]) -> Iterator[Sign]:
        if isinstance(node, Trait):
            yield from self._trait(node.trait.name, through)
        elif isinstance(node, EventCondition):
            yield from _events(node.event, through)
        elif isinstance(node, Sequence):
            test = node.sequence
            for step in (*test.steps, test.then, test.then_not):
                yield from _events(step, through) if step is not None else ()
        elif isinstance(node, Rfm):
            yield from (Sign("event", name, None, through) for name in node.rfm.event)
        elif isinstance(node, Tagged):
            yield Sign("tag", node.tag.name, None, through)
        elif isinstance(node, Message):
            yield Sign("message", node.message.did, node.message.campaign, through)
        elif isinstance(node, InSegment):
            yield from self.segment(node.segment.id, through)
        for child in children(node):
            yield from self._condition(child, through)

    def _trait(self, name: str, through: tuple[str, ...]) -> Iterator[Sign]:
        key = computed_id(name)
        if key is None:
            yield Sign("trait", name.partition(".")[0].removesuffix("[]"), None, through)
        elif (trait := self._traits.get(key)) is not None and trait.value.event is not None:
            names = trait.value.event.name
            yield from (Sign("event", one, None, (f"trait computed.{key}", *through)) for one in names)


def _events(test: EventTest | Step, through: tuple[str, ...]) -> Iterator[Sign]:
    names = test.name if isinstance(test, EventTest) else test.event
    wheres = [one for one in test.where if one.path == "properties.campaign_id" and isinstance(one.eq, str)]
    campaign = str(wheres[0].eq) if wheres else None
    return (Sign("event", name, campaign, through) for name in names)


def _how(left: frozenset[tuple[str, str]], by: str, looks: Iterable[Sign]) -> tuple[str, ...] | None:
    """By what the campaign `by`, which leaves these, starts one that looks at those."""
    for sign in looks:
        if (sign.kind, sign.name) in left and sign.campaign in (None, by):
            return (str(sign), *sign.through)
    return None


def _around(start: str, edges: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The shortest way from a campaign back to itself; empty when there is none."""
    came: dict[str, str] = {}
    waiting = [start]
    for key in waiting:
        for following in sorted(edges[key]):
            if following == start:
                way = [key]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if following not in came:
                came[following] = key
                waiting.append(following)
    return []


def _told(way: list[str], edges: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    parts: list[str] = []
    for here, following in zip(way, [*way[1:], way[0]], strict=True):
        parts += [f"campaign {here}", *edges[here][following]]
    return " → ".join([*parts, f"campaign {way[0]}"])
