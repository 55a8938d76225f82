"""Whether a customer satisfies a condition at an instant, and why: docs/adr/0011-what-a-condition-means.md."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.instant import Millis
from headrace.contracts.segment import SegmentDefinition
from headrace.contracts.segment_conditions import Condition, InSegment, SegmentTest
from headrace.contracts.trait import TraitDefinition
from services.segmenter.batch.computed import computed_value
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluation import Evaluation, World
from services.segmenter.batch.explanation import explain
from services.segmenter.batch.needs import Needs, needs, needs_of_trait
from services.segmenter.batch.view import View


class Evaluator:
    """Answers from rows alone, for any condition or the id of a segment.

    `definitions` are the live versions by segment id (lists and stages as their `segments()`), in which
    `segment` conditions look; they refer to each other in no cycle. `cuts` are the published cut points by
    population. `frozen` are the paused segments: whether a profile is among the members. `computed` are the live
    definitions of computed traits.
    """

    def __init__(
        self,
        definitions: Mapping[str, SegmentDefinition],
        *,
        cuts: Mapping[str, CutPoints] | None = None,
        frozen: Mapping[str, Callable[[str], bool]] | None = None,
        computed: Mapping[str, TraitDefinition] | None = None,
    ) -> None:
        self._world = World(definitions, cuts or {}, frozen or {}, computed or {})

    def member(self, asked: str | Condition, subject: Subject, t: Millis) -> bool:
        evaluation = Evaluation(self._world, subject)
        return evaluation.holds(_condition(asked), View(evaluation.known, t))

    def value(self, trait: TraitDefinition, subject: Subject, t: Millis) -> Any:
        """The value of a computed trait, plain JSON; None when there is none."""
        return computed_value(trait, View(Evaluation(self._world, subject).known, t))

    def members(
        self, asked: str | Condition, subjects: Iterable[Subject], t: Millis
    ) -> Iterator[tuple[str, bool]]:
        """Each subject's profile id with the answer, in their order."""
        condition = _condition(asked)
        return ((subject.profile_id, self.member(condition, subject, t)) for subject in subjects)

    def explain(self, asked: str | Condition, subject: Subject, t: Millis) -> dict[str, Any]:
        """See `explanation.explain`. Of a segment that is not paused, the tree of its condition."""
        condition = _condition(asked)
        if isinstance(asked, str) and asked in self._world.definitions and asked not in self._world.frozen:
            condition = self._world.definitions[asked].when
        evaluation = Evaluation(self._world, subject)
        return explain(evaluation, condition, View(evaluation.known, t))

    def needs_of(self, trait: TraitDefinition) -> Needs:
        """The rows without which the value could be another one."""
        return needs_of_trait(trait)

    def needs(self, asked: str | Condition) -> Needs:
        """The rows without which the answer could be another one."""
        return needs(_condition(asked), self._world)


def _condition(asked: str | Condition) -> Condition:
    return InSegment(segment=SegmentTest.model_validate({"id": asked})) if isinstance(asked, str) else asked
