"""A customer's survey as they see it: links, pages and forms over HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any

import httpx

from headrace.contracts.survey_link import SurveyKeys, SurveyLinks
from headrace.runtime.engine import async_engine
from headrace.runtime.metrics import Metrics
from services.profiles.api import build_api
from services.profiles.reads import Profiles
from services.profiles.store import SCHEMA
from tests.e2e.profiles_rig import NOWHERE, SUPPRESSOR, Rig, event
from tests.http.documented import DocumentedTransport

KEYS = SurveyKeys({1: b"k" * 32})
BASE = "https://shop.test"
TASTE: dict[str, Any] = {
    "kind": "survey",
    "id": "taste",
    "name": "Taste",
    "award": {"tag": "quiz-done"},
    "questions": [
        {"id": "roast", "text": "How roasted?", "type": "single_choice", "choices": ["light", "dark"]}
        | {"trait": "roast", "priority": 5},
        {"id": "cups", "text": "How many cups?", "type": "number", "min": 0, "trait": "cups", "optional": True},
    ],
}


@dataclass
class Surveys:
    """The API with the admin token, a customer's browser without it, and time that tests move."""

    rig: Rig
    api: httpx.AsyncClient
    browser: httpx.AsyncClient
    clock: list[int] = field(default_factory=list)

    async def customer(self, user: str = "u1", **traits: Any) -> str:
        """The profile id of a new customer."""
        await self.rig.send(event("identify", user=user, traits=traits))
        await self.rig.processed()
        return str(next(one["id"] for one in await self.rig.profiles() if one["user_id"] == user))

    async def put(self, survey: dict[str, Any]) -> None:
        answer = await self.api.put(f"/v1/surveys/{survey['id']}", json=survey)
        assert answer.status_code == 200, answer.text

    async def link(self, profile_id: str, survey: str = "taste", **more: Any) -> str:
        answer = await self.api.post(f"/v1/surveys/{survey}/links", json={"profile_ids": [profile_id], **more})
        [item] = answer.json()["items"]
        return str(item["link"]).removeprefix(BASE)

    async def profile(self, profile_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(f"/v1/profiles/{profile_id}")).json()
        return found

    async def rows(self, profile_id: str) -> list[dict[str, Any]]:
        """The survey's rows on the timeline, oldest first."""
        page = (await self.api.get(f"/v1/profiles/{profile_id}/events", params={"limit": 200})).json()
        return [row for row in reversed(page["items"]) if str(row.get("event")).startswith("Survey")]


def asked(page: httpx.Response) -> str | None:
    """The text of the question on a page."""
    found = re.search(r'(?:<legend>|<label class="question" for="answer">)(.*?)<', page.text, re.S)
    return unescape(found[1]) if found else None


@asynccontextmanager
async def survey_rig(rig: Rig, now: int) -> AsyncIterator[Surveys]:
    rig.settings = replace(rig.settings, survey_links=SurveyLinks(BASE, KEYS))
    clock = [now]
    engine = async_engine(rig.settings.database_url, schema=SCHEMA)
    async with rig.worker() as worker:
        app = build_api(
            rig.settings,
            pool=rig.pool,
            profiles=Profiles(engine),
            wake=worker.wake,
            suppressor=SUPPRESSOR,
            elsewhere=NOWHERE,
            metrics=Metrics("profiles"),
            checks={},
            clock=lambda: clock[0],
        )
        transport = DocumentedTransport("profiles", app)
        headers = {"Authorization": "Bearer admin"}
        async with (
            httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as api,
            httpx.AsyncClient(transport=transport, base_url=BASE) as browser,
        ):
            yield Surveys(rig, api, browser, clock)
    await engine.dispose()
