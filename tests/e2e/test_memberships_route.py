"""Asking for many memberships at once: `POST /v1/memberships`."""

from collections.abc import AsyncIterator

import pytest

from headrace.contracts.topics import partition_of
from tests.e2e.segmenter_rig import PARTITIONS, Rig, eventually, segmenter_rig

ONE = {"event": {"name": "Order Completed"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_members_others_and_who_is_not_that_far(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ONE)
        await rig.event("p1")
        await rig.event("p2", "Page Seen")

        async def asked(**profiles: int | None) -> dict[str, object]:
            body = {
                "segments": ["buyers", "nobody-s"],
                "profiles": [{"id": key, "seq": seq} for key, seq in profiles.items()],
            }
            answer = await running.api.post("/v1/memberships", json=body)
            answer.raise_for_status()
            return dict(answer.json())

        async def both() -> bool:
            return (await asked(p1=None, p2=None))["members"] == {"p1": ["buyers"], "p2": []}

        await eventually(both)
        assert (await asked(p1=None))["behind"] == ["nobody-s"]
        far = await asked(p1=1, p2=10_000, p3=None)
        assert far["behind"] == ["nobody-s", "p2"]
        assert far["members"] == {"p1": ["buyers"], "p2": []}, "who was never seen is no member"
        assert partition_of("p1", PARTITIONS) >= 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{}", 400),
        ('{"segments": [], "profiles": [{"name": "p1"}]}', 400),
        ('{"segments": [], "profiles": []}', 200),
        ('{"segments": [], "profiles": [' + ",".join('{"id": "p"}' for _ in range(1_001)) + "]}", 413),
    ],
)
async def test_what_is_no_question_is_refused(rig: Rig, body: str, status: int) -> None:
    async with rig.segmenter() as running:
        assert (await running.api.post("/v1/memberships", content=body)).status_code == status
