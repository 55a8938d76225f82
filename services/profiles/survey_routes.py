"""HTTP of surveys: their definitions, links to them, and the next question worth asking a customer."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import Millis
from headrace.contracts.segment_values import Duration, duration_ms
from headrace.contracts.survey import SurveyDefinition, parse_survey
from headrace.contracts.survey_link import SurveyLinks
from headrace.runtime.tasks import finish
from services.profiles.answering import ask
from services.profiles.survey_known import live_profiles, respondent
from services.profiles.survey_questions import Pick, next_question
from services.profiles.surveys import Stored, Surveys

MAX_BODY = 256 * 1024
MAX_LINKS = 1_000

Limit = Annotated[int, Query(ge=1, le=200)]


class LinksWanted(BaseModel, extra="forbid"):
    """`expires_in`: for how long the links are good, such as 30d; absent: for ever."""

    profile_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_LINKS)]
    expires_in: Duration | None = None


def survey_routes(
    surveys: Surveys, links: SurveyLinks | None, pool: asyncpg.Pool, clock: Callable[[], Millis]
) -> APIRouter:
    """Definitions, and links to them."""
    router = APIRouter(prefix="/v1/surveys")

    @router.put("/{survey_id}")
    async def put(survey_id: str, request: Request) -> dict[str, Any]:
        """A definition, YAML or JSON. What is unchanged keeps its version."""
        definition = parse_survey(await _document(request, survey_id))
        stored = await surveys.put(definition, clock())
        return {"id": definition.id, "version": stored.version, "status": "live"}

    @router.get("")
    async def page(cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        found = await surveys.page(cursor, limit)
        following = found[-1].definition.id if len(found) == limit else None
        return {"items": [_shown(stored) for stored in found], "next": following}

    @router.get("/{survey_id}")
    async def get(survey_id: str) -> dict[str, Any]:
        return _shown(await _existing(surveys, survey_id))

    @router.delete("/{survey_id}")
    async def delete(survey_id: str) -> dict[str, Any]:
        """Links to it lead to nothing from now on; what was answered stays."""
        if not await surveys.delete(survey_id, clock()):
            raise _unknown_survey(survey_id)
        return {"id": survey_id, "deleted": True}

    @router.post("/{survey_id}/links")
    async def make_links(survey_id: str, wanted: LinksWanted) -> dict[str, Any]:
        """A link for each customer; `unknown` are ids of nobody (any more)."""
        await _existing(surveys, survey_id)
        if links is None:
            raise ApiError(
                409, "no_survey_keys", "Set HEADRACE_SURVEY_KEYS: it signs the links; see docs/surveys.md."
            )
        expires_at = clock() + duration_ms(wanted.expires_in) if wanted.expires_in is not None else None
        live = await live_profiles(pool, wanted.profile_ids)
        items = [
            {"profile_id": one, "link": links.to(survey_id, live[one], expires_at=expires_at)}
            for one in dict.fromkeys(wanted.profile_ids)
            if one in live
        ]
        return {"items": items, "unknown": sorted(set(wanted.profile_ids) - live.keys())}

    return router


def question_routes(
    surveys: Surveys,
    links: SurveyLinks | None,
    pool: asyncpg.Pool,
    *,
    clock: Callable[[], Millis],
    partitions: int,
    wake: Callable[[Iterable[int]], None],
) -> APIRouter:
    """The next question worth asking a customer."""
    router = APIRouter(prefix="/v1/profiles/{profile_id}")

    async def offered(survey_id: str | None) -> list[SurveyDefinition]:
        return [(await _existing(surveys, survey_id)).definition] if survey_id else list(await surveys.all())

    def answer(pick: Pick | None, profile_id: str) -> dict[str, Any] | None:
        if pick is None:
            return None
        link = links.to(pick.survey.id, profile_id) if links is not None else None
        question = pick.question.model_dump(mode="json", exclude_none=True)
        return {"survey": pick.survey.id, "question": question, "link": link}

    @router.get("/next-question")
    async def pick(profile_id: str, survey: str | None = None) -> dict[str, Any] | None:
        """`{survey, question, link}`, or null when nothing is worth asking now. Changes nothing."""
        found = await respondent(pool, profile_id)
        if found is None:
            raise _unknown_profile()
        return answer(next_question(await offered(survey), found.known, clock()), found.id)

    @router.post("/next-question")
    async def pick_and_note(profile_id: str, survey: str | None = None) -> dict[str, Any] | None:
        """The same, noted as asked: it is not picked again within the survey's `ask_again`."""
        found = await respondent(pool, profile_id)
        if found is None:
            raise _unknown_profile()
        picked = await finish(ask(pool, profile_id, await offered(survey), now=clock(), partitions=partitions))
        wake(range(partitions))
        return answer(picked, found.id)

    return router


async def _document(request: Request, survey_id: str) -> Any:
    """The body's one document; its id may be left out, and must not be another than the path's."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise ApiError(413, "too_large", f"A definition has at most {MAX_BODY} bytes.")
    try:
        document = await asyncio.to_thread(load_document, body.decode())
    except UnicodeDecodeError as error:
        raise InvalidDefinition([Problem("", "is not UTF-8 text", "send YAML or JSON in UTF-8")]) from error
    if isinstance(document, dict) and document.setdefault("id", survey_id) != survey_id:
        raise InvalidDefinition([Problem("id", "differs from the path", f"write id: {survey_id}")])
    return document


async def _existing(surveys: Surveys, survey_id: str) -> Stored:
    stored = await surveys.get(survey_id)
    if stored is None:
        raise _unknown_survey(survey_id)
    return stored


def _shown(stored: Stored) -> dict[str, Any]:
    numbers = {"version": stored.version, "status": "live", "updated_at": stored.updated_at}
    return {**stored.definition.model_dump(mode="json", exclude_none=True), **numbers}


def _unknown_survey(survey_id: str) -> ApiError:
    return ApiError(404, "unknown_survey", f"There is no survey {survey_id!r}; see GET /v1/surveys.")


def _unknown_profile() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")
