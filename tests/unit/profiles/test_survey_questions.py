"""Which question is worth asking, over time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.survey import SurveyDefinition, parse_survey
from services.profiles.survey_answers import SURVEY_ANSWERED, SURVEY_ASKED, SURVEY_SKIPPED
from services.profiles.survey_questions import Known, is_complete, next_question, open_questions

DAY = 86_400_000
NOW = 1_790_000_000_000


def survey(*questions: dict[str, Any], id: str = "s", **more: Any) -> SurveyDefinition:
    asked = [
        {"id": f"q{number}", "text": "?", "type": "text", "trait": f"t{number}", **question}
        for number, question in enumerate(questions)
    ]
    return parse_survey({"kind": "survey", "id": id, "name": "S", "questions": asked, **more})


def known(*events: tuple[str, str, int], traits: dict[str, int] | None = None) -> Known:
    """Events as (question, name, days ago), traits as days ago."""
    found = Known(traits={name: NOW - days * DAY for name, days in (traits or {}).items()})
    for question, event, days in events:
        found.note("s", question, event, NOW - days * DAY)
    return found


def ids(definition: SurveyDefinition, known: Known, now: int = NOW) -> list[str]:
    return [question.id for question in open_questions(definition, known, now)]


def test_the_higher_priority_first_then_the_order_of_the_definition() -> None:
    assert ids(survey({}, {"priority": 2}, {}, {"priority": 2}), Known()) == ["q1", "q3", "q0", "q2"]


def test_an_answer_closes_a_question_until_it_is_stale() -> None:
    definition = survey({"stale_after": "10d"}, {})
    events = [("q0", SURVEY_ANSWERED, 9), ("q1", SURVEY_ANSWERED, 900)]
    assert ids(definition, known(*events)) == []
    assert ids(definition, known(*events), NOW + DAY) == ["q0"]
    assert ids(definition, known(*events, ("q0", SURVEY_ANSWERED, 0)), NOW + DAY) == []


def test_what_was_skipped_is_open_again_after_the_period() -> None:
    definition = survey({"optional": True}, ask_again="7d")
    assert ids(definition, known(("q0", SURVEY_SKIPPED, 6))) == []
    assert ids(definition, known(("q0", SURVEY_SKIPPED, 7))) == ["q0"]


@pytest.mark.parametrize(
    ("ask_if", "traits", "is_asked"),
    [
        ({"missing": True}, {}, True),
        ({"missing": True}, {"t0": 900}, False),
        ({"missing": True, "trait": "city"}, {"t0": 900}, True),
        ({"missing": True, "trait": "city"}, {"city": 0}, False),
        ({"older_than": "30d"}, {}, True),
        ({"older_than": "30d"}, {"t0": 29}, False),
        ({"older_than": "30d"}, {"t0": 30}, True),
    ],
)
def test_a_condition_on_a_trait(ask_if: dict[str, Any], traits: dict[str, int], is_asked: bool) -> None:
    assert bool(ids(survey({"ask_if": ask_if}), known(traits=traits))) is is_asked


def test_who_opened_the_survey_is_asked_what_was_put_to_them_lately_and_others_are_not() -> None:
    definition = survey({}, ask_again="30d")
    told = known(("q0", SURVEY_ASKED, 29))
    assert ids(definition, told) == ["q0"]
    assert next_question([definition], told, NOW) is None
    assert next_question([definition], told, NOW + DAY) == (definition, definition.questions[0])


def test_the_next_question_is_the_one_of_the_highest_priority_of_all_surveys() -> None:
    first, second = survey({}, {"priority": 1}, id="a"), survey({"priority": 1}, {"priority": 3}, id="b")
    picked = []
    told = Known()
    while (pick := next_question([first, second], told, NOW)) is not None:
        picked.append((pick.survey.id, pick.question.id))
        told.note(pick.survey.id, pick.question.id, SURVEY_ASKED, NOW)
    assert picked == [("b", "q1"), ("a", "q1"), ("b", "q0"), ("a", "q0")]


def test_who_only_skipped_has_completed_nothing() -> None:
    definition = survey({"optional": True}, {"optional": True})
    skipped = [("q0", SURVEY_SKIPPED, 0), ("q1", SURVEY_SKIPPED, 0)]
    assert not is_complete(definition, known(), NOW)
    assert not is_complete(definition, known(*skipped), NOW)
    assert not is_complete(definition, known(("q0", SURVEY_ANSWERED, 0)), NOW)
    assert is_complete(definition, known(("q0", SURVEY_ANSWERED, 0), skipped[1]), NOW)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["q0", "q1"]),
        st.sampled_from([SURVEY_ANSWERED, SURVEY_SKIPPED, SURVEY_ASKED]),
        st.integers(0, 60),
    ),
    max_size=6,
)


@given(EVENTS, st.randoms())
def test_the_order_in_which_events_are_read_does_not_matter(
    events: list[tuple[str, str, int]], random: Any
) -> None:
    definition = survey({"stale_after": "20d"}, {"optional": True})
    shuffled = random.sample(events, len(events))
    for now in (NOW, NOW + 15 * DAY):
        assert ids(definition, known(*shuffled), now) == ids(definition, known(*events), now)
        pick = next_question([definition], known(*events), now)
        assert pick is None or pick.question.id in ids(definition, known(*events), now)
