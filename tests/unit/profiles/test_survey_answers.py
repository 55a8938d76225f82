"""What is an answer to a question, from an event's JSON and from a form, and what it becomes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.survey import Question, parse_survey
from services.profiles.survey_answers import NoAnswer, read_answer, read_form, survey_answer


def question(kind: str, **more: Any) -> Question:
    asked = {"id": "q", "text": "?", "trait": "t", "type": kind, **more}
    [found] = parse_survey({"kind": "survey", "id": "s", "name": "S", "questions": [asked]}).questions
    return found


SINGLE = question("single_choice", choices=["a", "b"])
MULTIPLE = question("multiple_choice", choices=["a", "b", "c"])
NUMBER = question("number", min=0, max=30)
SCALE = question("scale")
TEXT = question("text", max_length=10)
DAY = question("date")
YES_NO = question("yes_no")
ALL = [SINGLE, MULTIPLE, NUMBER, SCALE, TEXT, DAY, YES_NO, question("number")]


@pytest.mark.parametrize(
    ("asked", "given", "value"),
    [
        (SINGLE, "a", "a"),
        (MULTIPLE, ["c", "a", "a"], ["a", "c"]),
        (MULTIPLE, "b", ["b"]),
        (NUMBER, 2, 2),
        (NUMBER, 2.5, 2.5),
        (NUMBER, " 2,50 ", 2.5),
        (NUMBER, "30", 30),
        (NUMBER, 4.0, 4),
        (SCALE, "5", 5),
        (SCALE, 1, 1),
        (TEXT, "  a\r\nb ", "a\nb"),
        (DAY, "1990-05-17", "1990-05-17"),
        (YES_NO, True, True),
        (YES_NO, "no", False),
        (YES_NO, "Yes", True),
    ],
)
def test_an_answer_becomes_a_value(asked: Question, given: Any, value: Any) -> None:
    found = read_answer(asked, given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (SINGLE, "c"),
        (SINGLE, ["a"]),
        (SINGLE, None),
        (MULTIPLE, []),
        (MULTIPLE, ["a", "x"]),
        (MULTIPLE, ["a", ["b"]]),
        (NUMBER, 31),
        (NUMBER, -1),
        (NUMBER, "many"),
        (NUMBER, "1_0"),
        (NUMBER, "nan"),
        (NUMBER, "inf"),
        (NUMBER, "1e400"),
        (NUMBER, True),
        (NUMBER, "١"),
        (question("number"), 10**400),
        (SCALE, 2.5),
        (SCALE, 6),
        (TEXT, "  "),
        (TEXT, "a" * 11),
        (TEXT, "a\0"),
        (TEXT, "\ud800"),
        (TEXT, 5),
        (DAY, "17. 5. 1990"),
        (DAY, "1990-02-30"),
        (DAY, 19900517),
        (YES_NO, 1),
        (YES_NO, "maybe"),
    ],
)
def test_what_is_no_answer_is_refused(asked: Question, given: Any) -> None:
    with pytest.raises(NoAnswer):
        read_answer(asked, given)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.sampled_from(ALL), JSON)
def test_whatever_is_sent_is_an_answer_or_refused_and_an_answer_is_one_again(asked: Question, given: Any) -> None:
    try:
        value = read_answer(asked, given)
    except NoAnswer:
        return
    assert read_answer(asked, value) == value
    assert msgspec.json.decode(msgspec.json.encode(value)) == value


@given(st.sampled_from(ALL), st.lists(st.text(max_size=20), max_size=3))
def test_whatever_a_form_says_is_an_answer_or_refused(asked: Question, values: list[str]) -> None:
    try:
        read_form(asked, values)
    except NoAnswer:
        return


def test_a_form_says_several_things_only_where_several_may_be_chosen() -> None:
    assert read_form(MULTIPLE, ["b", "a"]) == ["a", "b"]
    with pytest.raises(NoAnswer):
        read_form(SINGLE, ["a", "b"])


@pytest.mark.parametrize("properties", [{}, {"survey": "s"}, {"survey": 1, "question": "q"}, {"question": "q"}])
def test_an_event_that_names_no_question_is_no_answer(properties: dict[str, Any]) -> None:
    assert survey_answer(properties) is None
