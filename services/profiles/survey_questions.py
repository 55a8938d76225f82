"""Which question is worth asking (pure)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.segment_values import duration_ms
from headrace.contracts.survey import AskIf, Question, SurveyDefinition
from services.profiles.survey_answers import SURVEY_ANSWERED, SURVEY_ASKED, SURVEY_SKIPPED


class Told(msgspec.Struct):
    """When a question was last answered, skipped and put to the customer, if ever."""

    answered: Millis | None = None
    skipped: Millis | None = None
    asked: Millis | None = None

    def note(self, event: str, ts: Millis) -> None:
        if event == SURVEY_ANSWERED:
            self.answered = max(ts, self.answered or ts)
        elif event == SURVEY_SKIPPED:
            self.skipped = max(ts, self.skipped or ts)
        elif event == SURVEY_ASKED:
            self.asked = max(ts, self.asked or ts)


class Known(msgspec.Struct):
    """What is known of a customer: the time of each trait that they have, and what was told of each question, by
    survey and question."""

    traits: dict[str, Millis] = {}
    told: dict[tuple[str, str], Told] = {}

    def of(self, survey: SurveyDefinition, question: Question) -> Told:
        return self.told.get((survey.id, question.id)) or Told()

    def note(self, survey_id: str, question_id: str, event: str, ts: Millis) -> None:
        self.told.setdefault((survey_id, question_id), Told()).note(event, ts)


class Pick(NamedTuple):
    survey: SurveyDefinition
    question: Question


def open_questions(survey: SurveyDefinition, known: Known, now: Millis) -> list[Question]:
    """Those that a customer who has opened the survey is to answer, the first one first."""
    found = [question for question in survey.questions if _is_open(survey, question, known, now)]
    return sorted(found, key=lambda question: -question.priority)


def is_complete(survey: SurveyDefinition, known: Known, now: Millis) -> bool:
    """At the end, and not by skipping alone."""
    answered = any(known.of(survey, question).answered is not None for question in survey.questions)
    return answered and not open_questions(survey, known, now)


def next_question(surveys: Iterable[SurveyDefinition], known: Known, now: Millis) -> Pick | None:
    """The question worth asking a customer who did not ask for it: of those that are open, and were not put to
    them lately, the one with the highest priority; then by the surveys' order, and theirs."""
    picks = [
        Pick(survey, question)
        for survey in surveys
        for question in survey.questions
        if _is_open(survey, question, known, now) and not _lately(survey, known.of(survey, question), now)
    ]
    return max(picks, key=lambda pick: pick.question.priority, default=None)


def _is_open(survey: SurveyDefinition, question: Question, known: Known, now: Millis) -> bool:
    told = known.of(survey, question)
    if told.answered is not None and _fresh(told.answered, question.stale_after, now):
        return False
    if told.skipped is not None and now - told.skipped < duration_ms(survey.ask_again):
        return False
    return question.ask_if is None or _applies(question.ask_if, question.trait, known.traits, now)


def _fresh(answered: Millis, stale_after: str | None, now: Millis) -> bool:
    return stale_after is None or now - answered < duration_ms(stale_after)


def _applies(test: AskIf, own_trait: str, traits: Mapping[str, Millis], now: Millis) -> bool:
    time = traits.get(test.trait or own_trait)
    return time is None or (test.older_than is not None and now - time >= duration_ms(test.older_than))


def _lately(survey: SurveyDefinition, told: Told, now: Millis) -> bool:
    times = [time for time in (told.answered, told.skipped, told.asked) if time is not None]
    return bool(times) and now - max(times) < duration_ms(survey.ask_again)
