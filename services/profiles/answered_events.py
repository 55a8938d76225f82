"""Answers that a shop's own quiz sends: of a survey that is defined, they set the trait as the page would."""

from collections.abc import Mapping, Sequence

import msgspec

from headrace.contracts.survey import SurveyDefinition
from services.profiles.identity_rules import IdentityRules
from services.profiles.intake import Incoming
from services.profiles.provenance import ZERO_PARTY
from services.profiles.store import Connection
from services.profiles.survey_answers import NoAnswer, read_answer
from services.profiles.surveys import surveys_named
from services.profiles.traits import Stamp

Indexed = tuple[int, Incoming]


async def with_answers(connection: Connection, fresh: Sequence[Indexed], rules: IdentityRules) -> list[Indexed]:
    """The records of a batch, those that answer a survey with the trait they set."""
    named = {one.answer.survey for _, one in fresh if one.answer is not None}
    if not named:
        return list(fresh)
    surveys = await surveys_named(connection, named)
    return [(index, answered(one, surveys, rules)) for index, one in fresh]


def answered(incoming: Incoming, surveys: Mapping[str, SurveyDefinition], rules: IdentityRules) -> Incoming:
    """As it was, when it answers no question of these, or says something that is no answer to it."""
    answer = incoming.answer
    survey = surveys.get(answer.survey) if answer is not None else None
    question = survey.question(answer.question) if answer is not None and survey is not None else None
    if answer is None or question is None:
        return incoming
    try:
        value = read_answer(question, answer.answer)
    except NoAnswer:
        return incoming
    priority = rules.trait_priority(incoming.row.source, question.trait)
    stamp: Stamp = [priority, *incoming.stamp[1:-1], ZERO_PARTY]
    return msgspec.structs.replace(incoming, traits={question.trait: value}, stamp=stamp)
