"""Editors fetch the schema of definitions from a running segmenter, without a token."""

from headrace.contracts.schemas import schemas
from tests.e2e.segmenter_rig import segmenter_rig


async def test_the_schema_is_served_without_a_token(
    database_url: str, redis_url: str, log_url: str, topic_prefix: str
) -> None:
    async with (
        segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig,
        rig.segmenter() as running,
    ):
        del running.api.headers["Authorization"]
        answer = await running.api.get("/v1/schemas/segment")
        assert (answer.status_code, answer.json()) == (200, schemas()["segment"])
        assert (await running.api.get("/v1/segments")).status_code == 401
