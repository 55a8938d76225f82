"""Taking an answer: the rows it makes on the timeline, and the trait it sets, in one transaction.

Whoever sends a form twice finds the question answered: the profile is locked, and an answer counts only for a
question that is open.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import msgspec

from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from headrace.contracts.survey import Question, SurveyDefinition
from services.profiles.fold import EventDraft
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity import People
from services.profiles.intake import fingerprint
from services.profiles.merging import NO_INPUT
from services.profiles.people_sql import load_documents, lock_profiles, write_people
from services.profiles.profile import Documents, Profile
from services.profiles.provenance import ZERO_PARTY
from services.profiles.sequence import assign, partitions_of
from services.profiles.stated import Stated, apply_stated
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.suppression_sql import is_suppressed
from services.profiles.survey_answers import (
    SURVEY_ANSWERED,
    SURVEY_ASKED,
    SURVEY_COMPLETED,
    SURVEY_SKIPPED,
    Answer,
)
from services.profiles.survey_known import Respondent, known_of
from services.profiles.survey_questions import Known, Pick, is_complete, next_question, open_questions
from services.profiles.surveys import Stored
from services.profiles.tags import apply_tag_now

SOURCE = "headrace.survey"
_NO_PARTITION = -1
"""In the stamp of what came from no input."""

T = TypeVar("T")


class Taken(msgspec.Struct, frozen=True):
    """What happened to one question of a survey: its answer, or with None that it was skipped. `priority` is what
    the word of the customer counts."""

    survey: Stored
    question: Question
    answer: Answer | None
    priority: int = 0


async def take(
    pool: asyncpg.Pool, profile_id: str, taken: Taken, *, now: Millis, partitions: int
) -> Respondent | None:
    """Write it down, if the question is open; return the customer after it, None when there is none (any more)
    or nothing is collected of them. Never cancel it half-way."""

    async def once(connection: Connection) -> Respondent | None:
        found = await _lock(connection, profile_id)
        if found is None:
            return None
        people, profile, documents, known = found
        if taken.question in open_questions(taken.survey.definition, known, now):
            drafts = _drafts(profile, documents, known, taken, now)
            profile.saw(now, None)
            await _write(connection, people, drafts, partitions)
        return Respondent(profile.id, known)

    return await _patiently(pool, once)


async def ask(
    pool: asyncpg.Pool, profile_id: str, surveys: Sequence[SurveyDefinition], *, now: Millis, partitions: int
) -> Pick | None:
    """The question worth asking, and written down that it was put to the customer; None when there is none.
    Never cancel it half-way."""

    async def once(connection: Connection) -> Pick | None:
        found = await _lock(connection, profile_id)
        if found is None:
            return None
        people, profile, _, known = found
        pick = next_question(surveys, known, now)
        if pick is not None:
            properties = {"survey": pick.survey.id, "question": pick.question.id}
            draft = EventDraft(NO_INPUT, None, _row(profile, SURVEY_ASKED, properties, now))
            await _write(connection, people, [draft], partitions)
        return pick

    return await _patiently(pool, once)


async def _patiently(pool: asyncpg.Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    while True:
        with suppress(asyncpg.DeadlockDetectedError, Overtaken):
            async with pool.acquire() as connection, connection.transaction():
                return await work(connection)


async def _lock(connection: Connection, profile_id: str) -> tuple[People, Profile, Documents, Known] | None:
    people = await lock_profiles(connection, [profile_id])
    profile = people.profile(profile_id)
    if profile is None or await is_suppressed(connection, profile.id):
        return None
    [documents] = await load_documents(connection, [profile])
    return people, profile, documents, await known_of(connection, profile.id, documents)


def _drafts(profile: Profile, documents: Documents, known: Known, taken: Taken, now: Millis) -> list[EventDraft]:
    survey, question = taken.survey.definition, taken.question
    properties = {"survey": survey.id, "survey_version": taken.survey.version, "question": question.id}
    if taken.answer is None:
        drafts = [EventDraft(NO_INPUT, None, _row(profile, SURVEY_SKIPPED, properties, now))]
    else:
        drafts = [_answered(profile, documents, taken, {**properties, "answer": taken.answer}, now)]
        known.traits[question.trait] = now
    known.note(survey.id, question.id, SURVEY_SKIPPED if taken.answer is None else SURVEY_ANSWERED, now)
    if is_complete(survey, known, now):
        drafts.append(_completed(profile, documents, taken.survey, now))
    return drafts


def _answered(
    profile: Profile, documents: Documents, taken: Taken, properties: dict[str, Any], now: Millis
) -> EventDraft:
    """It comes after all that is known of the trait, also when clocks differ."""
    row = _row(profile, SURVEY_ANSWERED, properties, now)
    trait = taken.question.trait
    before = documents.trait_times.get(trait)
    time = now if before is None else max(now, int(before[1]) + 1)
    place = (_NO_PARTITION, fingerprint(row.message_id.encode()))
    stated = Stated(now, [taken.priority, time, time, *place, SOURCE, ZERO_PARTY], {trait: taken.answer})
    traits, _, _ = apply_stated(documents, stated)
    return EventDraft(NO_INPUT, None, msgspec.structs.replace(row, traits=traits), stated=stated)


def _completed(profile: Profile, documents: Documents, survey: Stored, now: Millis) -> EventDraft:
    """The award's tag is put on here; its voucher is the messenger's to give, which reads of it here."""
    award = survey.definition.award
    properties: dict[str, Any] = {"survey": survey.definition.id, "survey_version": survey.version}
    if award is not None and award.voucher is not None:
        properties["award"] = {"voucher": award.voucher}
    row = _row(profile, SURVEY_COMPLETED, properties, now)
    tag = award.tag if award is not None else None
    if tag is None:
        return EventDraft(NO_INPUT, None, row)
    changed = apply_tag_now(documents.tags, documents.tag_times, tag, True, now)
    ranked = documents.tag_times.get(tag)  # None: there was no room for it
    stated = None if ranked is None else Stated(ranked, tags={tag: True})
    return EventDraft(NO_INPUT, None, msgspec.structs.replace(row, tags=changed), stated=stated)


def _row(profile: Profile, event: str, properties: dict[str, Any], now: Millis) -> EventRow:
    names = (str(properties["survey"]), str(properties.get("question", "")))
    return EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id=profile.id,
        source=SOURCE,
        message_id=content_id("q", event, *names, profile.id, now),
        type="track",
        ts=now,
        event=event,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        user_id=profile.user_id,
        received_at=now,
    )


async def _write(connection: Connection, people: People, drafts: Sequence[EventDraft], partitions: int) -> None:
    await write_people(connection, people)
    counters = await lock_counters(connection, partitions_of(drafts, partitions))
    await write_rows(connection, assign(drafts, counters, others_low=0, partitions=partitions), counters)
