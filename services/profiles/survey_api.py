"""The routes of surveys, put together."""

from collections.abc import Callable, Iterable

import asyncpg
from fastapi import FastAPI
from fastapi.params import Depends

from headrace.contracts.instant import Millis
from services.profiles.settings import Settings
from services.profiles.survey_public import Pages, survey_pages
from services.profiles.survey_routes import question_routes, survey_routes
from services.profiles.surveys import Surveys


def add_surveys(
    app: FastAPI,
    guard: Depends,
    settings: Settings,
    *,
    pool: asyncpg.Pool,
    wake: Callable[[Iterable[int]], None],
    clock: Callable[[], Millis],
) -> None:
    """`guard` demands the admin token; the public pages stand without it."""
    surveys, links, partitions = Surveys(pool), settings.survey_links, settings.common.partitions
    app.include_router(survey_routes(surveys, links, pool, clock), dependencies=[guard])
    questions = question_routes(surveys, links, pool, clock=clock, partitions=partitions, wake=wake)
    app.include_router(questions, dependencies=[guard])
    rules = settings.identity
    pages = Pages(surveys, links, pool, rules=rules, clock=clock, partitions=partitions, wake=wake)
    app.include_router(survey_pages(pages))
