"""The public page of a survey, `GET|POST /s/{token}`: who it is for comes from the signed token alone."""

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qs

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from headrace.contracts.instant import Millis
from headrace.contracts.survey import Question
from headrace.contracts.survey_link import SurveyLinks
from headrace.runtime.tasks import finish
from services.profiles import survey_pages as pages
from services.profiles.answering import SOURCE, Taken, take
from services.profiles.identity_rules import IdentityRules
from services.profiles.survey_answers import Answer, NoAnswer, read_form
from services.profiles.survey_known import Respondent, respondent
from services.profiles.survey_questions import open_questions
from services.profiles.surveys import Stored, Surveys

MAX_FORM = 64 * 1024
MAX_FIELDS = 200

Form = Mapping[str, list[str]]


class Pages:
    """Shows a survey's next open question, and takes answers. GET changes nothing: scanners follow links.
    `rules` say what the word of a customer counts."""

    def __init__(
        self,
        surveys: Surveys,
        links: SurveyLinks | None,
        pool: asyncpg.Pool,
        *,
        rules: IdentityRules,
        clock: Callable[[], Millis],
        partitions: int,
        wake: Callable[[Iterable[int]], None],
    ) -> None:
        self._surveys = surveys
        self._links = links
        self._pool = pool
        self._rules = rules
        self._clock = clock
        self._partitions = partitions
        self._wake = wake

    async def show(self, token: str) -> HTMLResponse:
        """The next open question, or that there is none."""
        opened = await self._open(token)
        return opened if isinstance(opened, HTMLResponse) else self._next(*opened)

    async def answer(self, token: str, form: Form | None) -> HTMLResponse:
        """Take what the form says (None: it is no form) and show what comes next. A question that is answered
        already, or is no more, changes nothing."""
        opened = await self._open(token)
        if isinstance(opened, HTMLResponse):
            return opened
        survey, customer = opened
        question = survey.definition.question(_only(form or {}, pages.QUESTION))
        if question is None:
            return self._next(survey, customer)
        try:
            given = _given(question, form or {})
        except NoAnswer:
            return _page(400, pages.question_page(survey.definition, question, refused=True))
        taken = Taken(survey, question, given, self._rules.trait_priority(SOURCE, question.trait))
        after = await finish(take(self._pool, customer.id, taken, now=self._clock(), partitions=self._partitions))
        if after is None:
            return _page(404, pages.gone_page(survey.definition.language))
        self._wake(range(self._partitions))
        return self._next(survey, after)

    async def _open(self, token: str) -> tuple[Stored, Respondent] | HTMLResponse:
        link = self._links.keys.verify(token, self._clock()) if self._links is not None else None
        if link is None:
            return _page(403, pages.refused_page())
        survey = await self._surveys.get(link.survey_id)
        if survey is None:
            return _page(404, pages.gone_page())
        customer = await respondent(self._pool, link.profile_id)
        if customer is None:
            return _page(404, pages.gone_page(survey.definition.language))
        return survey, customer

    def _next(self, survey: Stored, customer: Respondent) -> HTMLResponse:
        questions = open_questions(survey.definition, customer.known, self._clock())
        if not questions:
            return _page(200, pages.thanks_page(survey.definition))
        return _page(200, pages.question_page(survey.definition, questions[0]))


def survey_pages(shown: Pages) -> APIRouter:
    """The two routes, without a guard."""
    router = APIRouter()

    @router.get("/s/{token}", response_class=HTMLResponse)
    async def show(token: str) -> HTMLResponse:
        return await shown.show(token)

    @router.post("/s/{token}", response_class=HTMLResponse)
    async def answer(token: str, request: Request) -> HTMLResponse:
        return await shown.answer(token, await _form(request))

    return router


async def _form(request: Request) -> Form | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            return None
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return None


def _given(question: Question, form: Form) -> Answer | None:
    """The answer; None for a question that is skipped. Raises NoAnswer."""
    if question.optional and pages.SKIP in form:
        return None
    return read_form(question, form.get(pages.ANSWER, []))


def _only(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _page(status: int, html: str) -> HTMLResponse:
    return HTMLResponse(html, status, pages.HEADERS)
