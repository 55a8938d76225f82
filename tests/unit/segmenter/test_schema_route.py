"""The schema of definitions is served to editors, which have no token."""

import httpx
from fastapi import FastAPI

from headrace.contracts.schemas import schemas
from services.segmenter.schema_routes import schema_router


async def test_the_schema_is_open_to_everybody() -> None:
    app = FastAPI()
    app.include_router(schema_router())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://segmenter") as client:
        answer = await client.get("/v1/schemas/segment")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == schemas()["segment"]
