"""Survey definitions: what customers are asked, one question at a time, and which trait each answer becomes.

`parse_survey` is the way in; it answers a bad definition with every problem's path, reason and suggestion.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_values import Duration, Key, Model, storable
from headrace.contracts.survey_problems import survey_problems

MAX_QUESTIONS = 50
MAX_CHOICES = 50
MAX_STEPS = 11
"""Of a scale: more do not fit on a phone."""

Words = Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(storable)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]
TagName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,100}$"), AfterValidator(storable)]
TraitName = Annotated[str, StringConstraints(pattern=r"^[^.\[\]\x00-\x1f]{1,100}$"), AfterValidator(storable)]
Finite = Annotated[int | float, Field(ge=-(10**15), le=10**15, allow_inf_nan=False)]


class AskIf(Model):
    """Ask when the trait (the question's own, unless another is named) is missing, or was set longer ago than
    `older_than` (or never)."""

    trait: TraitName | None = None
    missing: Literal[True] | None = None
    older_than: Duration | None = None

    @model_validator(mode="after")
    def _one_test(self) -> "AskIf":
        if (self.missing is None) == (self.older_than is None):
            raise Refused("must have one of missing and older_than", "write missing: true, or older_than: 180d")
        return self


class Choice(Model):
    """`value` becomes the trait, `text` is what the customer reads."""

    value: Label
    text: Label


def _choice(given: object) -> object:
    """`light` is short for `{value: light, text: light}`."""
    return {"value": given, "text": given} if isinstance(given, str) else given


Choices = Annotated[
    tuple[Annotated[Choice, BeforeValidator(_choice, json_schema_input_type=Label | Choice)], ...],
    Field(min_length=2, max_length=MAX_CHOICES, strict=False),
]


class _Question(Model):
    """The question with the higher `priority` is asked first, then that which stands first. An `optional` one may
    be skipped. An answer older than `stale_after` is asked for again."""

    id: Key
    text: Words
    help: Words | None = None
    trait: TraitName
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] = 0
    optional: bool = False
    stale_after: Duration | None = None
    ask_if: AskIf | None = None

    @field_validator("trait")
    @classmethod
    def _is_a_name(cls, trait: str) -> str:
        if trait != trait.strip():
            raise Refused("begins or ends with a space", f"write {trait.strip()}")
        return trait


class _ChoiceQuestion(_Question):
    choices: Choices

    @field_validator("choices")
    @classmethod
    def _distinct(cls, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
        _refuse_twice("choices", [choice.value for choice in choices])
        return choices


class SingleChoice(_ChoiceQuestion):
    """The trait is the value of the one choice, a text."""

    type: Literal["single_choice"]


class MultipleChoice(_ChoiceQuestion):
    """The trait is a list of the values, in the order of `choices`."""

    type: Literal["multiple_choice"]


class NumberQuestion(_Question):
    """The trait is a number, with both bounds included."""

    type: Literal["number"]
    min: Finite | None = None
    max: Finite | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "NumberQuestion":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise Refused("has a min above its max", "exchange the two")
        return self


class ScaleQuestion(_Question):
    """The trait is a whole number from `min` to `max`; `low` and `high` say what the ends mean."""

    type: Literal["scale"]
    min: Annotated[int, Field(ge=-100, le=100)] = 1
    max: Annotated[int, Field(ge=-100, le=100)] = 5
    low: Label | None = None
    high: Label | None = None

    @model_validator(mode="after")
    def _fits(self) -> "ScaleQuestion":
        if not 2 <= self.max - self.min + 1 <= MAX_STEPS:
            raise Refused(f"must have 2 to {MAX_STEPS} steps", "write for instance min: 0, max: 10")
        return self


class TextQuestion(_Question):
    """The trait is what the customer writes, without spaces around it."""

    type: Literal["text"]
    max_length: Annotated[int, Field(ge=1, le=1_000)] = 1_000


class DateQuestion(_Question):
    """The trait is a day as text, `1990-05-17`."""

    type: Literal["date"]


class YesNoQuestion(_Question):
    """The trait is true or false."""

    type: Literal["yes_no"]


Question = (
    SingleChoice | MultipleChoice | NumberQuestion | ScaleQuestion | TextQuestion | DateQuestion | YesNoQuestion
)


class Award(Model):
    """What a customer gets who has come to the end: a `tag`, a code of the pool `voucher`, or both."""

    tag: TagName | None = None
    voucher: Key | None = None

    @model_validator(mode="after")
    def _awards(self) -> "Award":
        if self.tag is None and self.voucher is None:
            raise Refused("awards nothing", "write tag: a tag, voucher: a pool, or both")
        return self

    @field_validator("tag")
    @classmethod
    def _is_a_tag(cls, tag: str | None) -> str | None:
        if tag is not None and (tag != tag.strip() or tag.startswith("list:")):
            raise Refused("is no name of a tag", "write it without spaces around it, and not with list: before it")
        return tag


class SurveyDefinition(Model):
    """A survey. A question that was asked, answered or skipped is not asked again unbidden (`next-question`)
    within `ask_again`. `language` is that of the texts and of the page around them."""

    kind: Literal["survey"] = "survey"
    id: Key
    name: Label
    language: Literal["en", "cs"] = "en"
    title: Label | None = None
    thanks: Words | None = None
    ask_again: Duration = "30d"
    award: Award | None = None
    questions: Annotated[
        tuple[Annotated[Question, Field(discriminator="type")], ...],
        Field(min_length=1, max_length=MAX_QUESTIONS, strict=False),
    ]

    @field_validator("questions")
    @classmethod
    def _distinct(cls, questions: tuple[Question, ...]) -> tuple[Question, ...]:
        _refuse_twice("questions", [question.id for question in questions])
        _refuse_twice("questions for the trait", [question.trait for question in questions])
        return questions

    def canonical(self) -> dict[str, Any]:
        """The definition as JSON data, defaults left out: equal for equal definitions, parses to itself."""
        body = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return {**body, "kind": self.kind}

    def question(self, question_id: str) -> Question | None:
        return next((one for one in self.questions if one.id == question_id), None)


def parse_survey(document: object) -> SurveyDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return SurveyDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDefinition(survey_problems(error, document)) from error


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refused(f"has two {what} {twice}", "leave one of them out")
