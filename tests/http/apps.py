"""The four services' apps without engines: enough to ask them for their OpenAPI documents."""

import asyncio
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.types import ASGIApp

from headrace.runtime.clock import now_ms
from headrace.runtime.metrics import Metrics
from headrace.runtime.republish import republish_router
from headrace.runtime.settings import Environment
from services.ingest.main import assemble as assemble_ingest
from services.ingest.settings import load_settings as ingest_settings
from services.messenger.assembly import assemble as assemble_messenger
from services.messenger.settings import read_settings as messenger_settings
from services.profiles.api import build_api
from services.profiles.settings import read_settings as profiles_settings
from services.segmenter.assembly import assemble as assemble_segmenter
from services.segmenter.settings import read_settings as segmenter_settings

ENVIRONMENT = Environment(
    {
        "HEADRACE_LOG_URL": "redis://127.0.0.1",
        "HEADRACE_DATABASE_URL": "postgresql://127.0.0.1/headrace",
        "HEADRACE_REDIS_URL": "redis://127.0.0.1",
        "HEADRACE_ADMIN_TOKEN": "admin-token",
        "HEADRACE_WRITE_KEY": "write-key",
        "HEADRACE_PARTITIONS": "4",
        "HEADRACE_DATA_DIR": str(Path("unused")),
    }
)


class Absent:
    """An engine that is not there: it may be handed on, and knows only what services ask at their start."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def get_max_size(self) -> int:
        return 0

    async def execute(self, *_: Any) -> None:
        return None

    async def fetchrow(self, *_: Any) -> dict[str, int]:
        return {"epoch": 1, "partitions": 4}

    async def fetch(self, *_: Any) -> list[tuple[Any, ...]]:
        return [(1, bytes(32), 0, None)]


def served_documents() -> dict[str, dict[str, Any]]:
    """What each service answers on /openapi.json."""
    return asyncio.run(_served())


async def assembled(environment: Environment = ENVIRONMENT) -> dict[str, ASGIApp]:
    """The app of each service."""
    return {
        "ingest": _ingest(environment),
        "profiles": _profiles(environment),
        "segmenter": _segmenter(environment),
        "messenger": await _messenger(environment),
    }


async def _served() -> dict[str, dict[str, Any]]:
    documents = {}
    for name, app in (await assembled()).items():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            documents[name] = (await client.get("/openapi.json")).raise_for_status().json()
    return documents


def _ingest(environment: Environment) -> ASGIApp:
    absent: Any = Absent()
    return assemble_ingest(absent, ingest_settings(environment))


def _profiles(environment: Environment) -> ASGIApp:
    absent: Any = Absent()
    settings = profiles_settings(environment)
    app = build_api(
        settings,
        pool=absent,
        profiles=absent,
        wake=absent,
        suppressor=absent,
        elsewhere=absent,
        metrics=Metrics("profiles"),
        checks={},
    )
    app.include_router(republish_router(absent, partitions=4))
    return app


def _segmenter(environment: Environment) -> ASGIApp:
    absent: Any = Absent()
    settings = segmenter_settings(environment)
    return assemble_segmenter(settings, absent, absent, absent, absent, absent, clock=now_ms).app


async def _messenger(environment: Environment) -> ASGIApp:
    absent: Any = Absent()
    settings = messenger_settings(environment)
    return (await assemble_messenger(settings, absent, absent, {}, absent, clock=now_ms)).app
