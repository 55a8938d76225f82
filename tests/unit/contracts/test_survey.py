"""Survey definitions: what is accepted, and what is said of what is not."""

from collections.abc import Mapping
from typing import Any

import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.survey import parse_survey

QUESTION: Mapping[str, Any] = {"id": "q1", "text": "Well?", "type": "text", "trait": "mood"}
CHOICE: Mapping[str, Any] = {**QUESTION, "type": "single_choice", "choices": ["good", "bad"]}


def survey(*questions: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "survey", "id": "s", "name": "S", "questions": list(questions) or [QUESTION], **more}


@pytest.mark.parametrize(
    "document",
    [
        survey(),
        survey(CHOICE, {**QUESTION, "id": "q2", "type": "scale", "trait": "b", "min": 0, "max": 10}),
        survey({**QUESTION, "ask_if": {"trait": "city", "missing": True}, "stale_after": "1w"}, language="cs"),
        survey(
            {**QUESTION, "type": "number", "min": 0.5, "ask_if": {"older_than": "P30D"}}, award={"tag": "done"}
        ),
    ],
)
def test_a_definition_in_its_stored_form_is_the_same_definition(document: dict[str, Any]) -> None:
    definition = parse_survey(document)
    stored = definition.canonical()
    assert parse_survey(stored) == definition
    assert parse_survey(stored).canonical() == stored


def test_a_word_is_a_choice_by_itself() -> None:
    (question,) = parse_survey(survey({**CHOICE, "choices": ["good", {"value": "b", "text": "Bad"}]})).questions
    assert question.model_dump()["choices"] == (
        {"value": "good", "text": "good"},
        {"value": "b", "text": "Bad"},
    )


@pytest.mark.parametrize(
    ("document", "path", "reason", "suggestion"),
    [
        ([], "", "must be an object", ""),
        (survey(nmae="x"), "nmae", "is not known here", "did you mean name?"),
        (survey(award={}), "award", "awards nothing", "voucher: a pool"),
        (survey(award={"vaucher": "v"}), "award.vaucher", "is not known here", "did you mean voucher?"),
        (survey(award={"voucher": "V 1"}), "award.voucher", "is not an id", "write v-1"),
        (survey(award={"tag": "list:x"}), "award.tag", "is no name of a tag", ""),
        (survey(language="fr"), "language", "must be en or cs", ""),
        (survey(ask_again="1month"), "ask_again", "must be a duration", "write 30d"),
        (survey(questions=[]), "questions", "needs at least 1", ""),
        (survey(questions=None), "questions", "must be a list", ""),
        (survey({**QUESTION, "type": "choice"}), "questions.0", "is no type of question", "single_choice"),
        (survey({**QUESTION, "id": "Q 1"}), "questions.0.id", "is not an id", "write q-1"),
        (survey({**QUESTION, "trait": "a.b"}), "questions.0.trait", "is not a name", ""),
        (survey({**QUESTION, "trait": " a"}), "questions.0.trait", "begins or ends", "write a"),
        (survey({**QUESTION, "text": ""}), "questions.0.text", "is empty", ""),
        (survey({**QUESTION, "text": "a\0"}), "questions.0.text", "must not hold U+0000", ""),
        (survey({**QUESTION, "choises": ["a"]}), "questions.0.choises", "is not known here", "choices"),
        (survey({**QUESTION, "priority": 1.5}), "questions.0.priority", "must be a whole number", ""),
        (survey({**QUESTION, "ask_if": {}}), "questions.0.ask_if", "must have one of", "missing: true"),
        (survey({**CHOICE, "choices": ["a", "a"]}), "questions.0.choices", "has two choices a", ""),
        (survey({**CHOICE, "choices": ["a"]}), "questions.0.choices", "needs at least 2", ""),
        (survey({**QUESTION, "type": "scale", "max": 50}), "questions.0", "must have 2 to 11 steps", ""),
        (survey({**QUESTION, "type": "number", "min": 2, "max": 1}), "questions.0", "a min above its max", ""),
        (survey(QUESTION, {**QUESTION, "trait": "b"}), "questions", "has two questions q1", ""),
        (survey(QUESTION, {**QUESTION, "id": "q2"}), "questions", "has two questions for the trait mood", ""),
    ],
)
def test_one_problem_with_path_reason_and_suggestion(
    document: Any, path: str, reason: str, suggestion: str
) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_survey(document)
    [problem] = caught.value.problems
    assert problem.path == path
    assert reason in problem.reason
    assert suggestion in problem.suggestion


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_survey(survey({"id": "q", "text": "?", "type": "single_choice", "trait": "t"}))
    [problem] = caught.value.problems
    assert (problem.path, problem.reason) == ("questions.0.choices", "is missing")
