"""One customer against the conditions: which module judges which, and what refers to other segments."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.instant import Millis
from headrace.contracts.segment import SegmentDefinition
from headrace.contracts.segment_conditions import (
    All,
    AnyOf,
    Condition,
    Consent,
    EventCondition,
    Geo,
    Held,
    HeldTest,
    InSegment,
    Message,
    Not,
    Percent,
    Rfm,
    SegmentTest,
    Sequence,
    Tagged,
    Trait,
    children,
)
from headrace.contracts.trait import TraitDefinition
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.events import event_moments, judge_event, judge_message, message_moments
from services.segmenter.batch.held import held_moments, judge_held
from services.segmenter.batch.others import (
    geo_moments,
    judge_geo,
    judge_percent,
    judge_rfm,
    rfm_moments,
)
from services.segmenter.batch.sequences import judge_sequence, sequence_moments
from services.segmenter.batch.traits import (
    consent_moments,
    judge_consent,
    judge_tag,
    judge_trait,
    tag_moments,
    trait_moments,
)
from services.segmenter.batch.view import Known, Verdict, View


@dataclass(frozen=True, slots=True)
class World:
    """What is known beside the customer: `definitions`, the live versions by segment id; `cuts` by population;
    `frozen`, of each paused segment whether a profile is among its members; `computed`, the live definitions of
    computed traits by id."""

    definitions: Mapping[str, SegmentDefinition]
    cuts: Mapping[str, CutPoints] = field(default_factory=dict)
    frozen: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)
    computed: Mapping[str, TraitDefinition] = field(default_factory=dict)


class Evaluation:
    """The conditions of one customer. What it saw looking back it need not look at again."""

    def __init__(self, world: World, subject: Subject) -> None:
        self.known = Known(subject)
        self._world = world
        self._seen: dict[tuple[int, Millis], bool] = {}

    def holds(self, node: Condition, view: View) -> bool:
        if not view.back:
            return self.judge(node, view).result
        key = id(node), view.t
        if key not in self._seen:
            self._seen[key] = self.judge(node, view).result
        return self._seen[key]

    def is_member(self, segment_id: str, view: View) -> bool:
        """Of the live version; of a paused segment, whether the customer is among its members, now as ever."""
        if segment_id in self._world.frozen:
            return self._world.frozen[segment_id](self.known.subject.profile_id)
        definition = self._world.definitions.get(segment_id)
        return definition is not None and self.holds(definition.when, view)

    def judge(self, node: Condition, view: View) -> Verdict:
        match node:
            case All():
                return Verdict(all(self.holds(child, view) for child in node.all))
            case AnyOf():
                return Verdict(any(self.holds(child, view) for child in node.any))
            case Not():
                return Verdict(not self.holds(node.not_, view))
            case Held():
                return self._held(node.held, view)
            case InSegment():
                return self._membership(node.segment, view)
            case Trait():
                return judge_trait(node, view, self._world.computed)
            case EventCondition():
                return judge_event(node, view)
            case Sequence():
                return judge_sequence(node, view)
            case Tagged():
                return judge_tag(node, view)
            case Consent():
                return judge_consent(node, view)
            case Rfm():
                return judge_rfm(node, view, self._world.cuts)
            case Percent():
                return judge_percent(node, view)
            case Geo():
                return judge_geo(node, view)
            case Message():
                return judge_message(node, view)

    def moments(self, node: Condition, begin: Millis, end: Millis) -> Iterable[Millis]:
        """Every instant in [begin, end] at which its truth may change, looking back; some others."""
        match node:
            case Held():
                inside = node.held.condition
                return held_moments(node.held.for_ms, begin, end, lambda b, e: self.moments(inside, b, e))
            case InSegment():
                test, length = node.segment, node.segment.for_ms
                if length is None:
                    return self._member_moments(test, begin, end)
                return held_moments(length, begin, end, lambda b, e: self._member_moments(test, b, e))
            case Trait():
                return trait_moments(node, self.known, begin, end, self._world.computed)
            case EventCondition():
                return event_moments(node, self.known)
            case Sequence():
                return sequence_moments(node, self.known)
            case Tagged():
                return tag_moments(node, self.known)
            case Consent():
                return consent_moments(node, self.known)
            case Rfm():
                return rfm_moments(node, self.known)
            case Geo():
                return geo_moments(self.known)
            case Message():
                return message_moments(node, self.known)
            case _:  # all, any, not; a split by percent never changes
                return {at for child in children(node) for at in self.moments(child, begin, end)}

    def _held(self, test: HeldTest, view: View) -> Verdict:
        return judge_held(
            test.for_ms,
            view,
            lambda then: self.holds(test.condition, then),
            lambda begin, end: self.moments(test.condition, begin, end),
        )

    def _membership(self, test: SegmentTest, view: View) -> Verdict:
        def holds(then: View) -> bool:
            return self.is_member(test.id, then) is test.member

        if test.for_ms is None:
            return Verdict(holds(view))
        return judge_held(test.for_ms, view, holds, lambda begin, end: self._member_moments(test, begin, end))

    def _member_moments(self, test: SegmentTest, begin: Millis, end: Millis) -> Iterable[Millis]:
        definition = self._world.definitions.get(test.id)
        if definition is None or test.id in self._world.frozen:
            return ()
        return self.moments(definition.when, begin, end)
