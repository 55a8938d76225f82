"""What an answer to a survey's question is: read off an event or a form, and held against the question (pure)."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import isfinite
from typing import Any

import msgspec

from headrace.contracts.survey import (
    DateQuestion,
    MultipleChoice,
    NumberQuestion,
    Question,
    ScaleQuestion,
    SingleChoice,
    TextQuestion,
    YesNoQuestion,
)

SURVEY_ANSWERED = "Survey Answered"
SURVEY_SKIPPED = "Survey Question Skipped"
SURVEY_ASKED = "Survey Question Asked"
SURVEY_COMPLETED = "Survey Completed"

Answer = str | list[str] | int | float | bool
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_YES_NO: Mapping[object, bool] = {"yes": True, "no": False, "true": True, "false": False}


class SurveyAnswer(msgspec.Struct, frozen=True, gc=False):
    """What a `Survey Answered` event says: the ids, and the answer as sent."""

    survey: str
    question: str
    answer: Any


class NoAnswer(ValueError):
    """It is no answer to this question."""


def survey_answer(properties: Mapping[str, Any]) -> SurveyAnswer | None:
    """What a collected event says, when it names a survey and a question."""
    survey, question = properties.get("survey"), properties.get("question")
    if not isinstance(survey, str) or not isinstance(question, str):
        return None
    return SurveyAnswer(survey, question, properties.get("answer"))


def read_answer(question: Question, given: object) -> Answer:
    """The trait's value: `given` is as in JSON, or text as in a form. Raises NoAnswer."""
    return _READERS[type(question)](question, given)


def read_form(question: Question, values: Sequence[str]) -> Answer:
    """The answer of a form's field, which may be there several times. Raises NoAnswer."""
    if isinstance(question, MultipleChoice):
        return read_answer(question, list(values))
    if len(values) != 1:
        raise NoAnswer("not answered")
    return read_answer(question, values[0])


def _single(question: SingleChoice, given: object) -> Answer:
    if not isinstance(given, str) or all(given != choice.value for choice in question.choices):
        raise NoAnswer("not one of the choices")
    return given


def _multiple(question: MultipleChoice, given: object) -> Answer:
    chosen = [given] if isinstance(given, str) else given
    known = [choice.value for choice in question.choices]
    if not isinstance(chosen, list) or not chosen or any(one not in known for one in chosen):
        raise NoAnswer("not some of the choices")
    return [value for value in known if value in chosen]


def _number(question: NumberQuestion, given: object) -> Answer:
    value = _numeral(given)
    above = question.min is None or value >= question.min
    if not above or (question.max is not None and value > question.max):
        raise NoAnswer("out of bounds")
    return value


def _scale(question: ScaleQuestion, given: object) -> Answer:
    value = _numeral(given)
    if value != int(value) or not question.min <= value <= question.max:
        raise NoAnswer("not a step of the scale")
    return int(value)


def _numeral(given: object) -> int | float:
    """Finite, of at most 15 digits before the point; whole ones as integers. A comma may stand for the point."""
    text = given.strip().replace(",", ".") if isinstance(given, str) and len(given) <= 40 else given
    if isinstance(text, str):
        try:
            text = float(text) if text.isascii() and "_" not in text else None
        except ValueError as error:
            raise NoAnswer("not a number") from error
    if isinstance(text, bool) or not isinstance(text, int | float) or not abs(text) < 10**15 or not isfinite(text):
        raise NoAnswer("not a number")
    return int(text) if text == int(text) else text


def _text(question: TextQuestion, given: object) -> Answer:
    if not isinstance(given, str):
        raise NoAnswer("not a text")
    text = given.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not 0 < len(text) <= question.max_length or _UNSTORABLE.search(text):
        raise NoAnswer("empty or too long")
    return text


def _date(question: DateQuestion, given: object) -> Answer:
    try:
        return date.fromisoformat(given.strip()).isoformat() if isinstance(given, str) else _refuse()
    except ValueError as error:
        raise NoAnswer("not a day as 1990-05-17") from error


def _yes_no(question: YesNoQuestion, given: object) -> Answer:
    if isinstance(given, bool):
        return given
    found = _YES_NO.get(given.strip().lower()) if isinstance(given, str) else None
    return _refuse() if found is None else found


def _refuse() -> Answer:
    raise NoAnswer("not an answer of this type")


_READERS: Mapping[type, Callable[[Any, object], Answer]] = {
    SingleChoice: _single,
    MultipleChoice: _multiple,
    NumberQuestion: _number,
    ScaleQuestion: _scale,
    TextQuestion: _text,
    DateQuestion: _date,
    YesNoQuestion: _yes_no,
}
