"""The timeline as the segmenter reads it for a merge: its control rows are read once."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from headrace.contracts.profile_event import ControlRow
from services.segmenter.timeline import PostgresTimeline
from tests.e2e.segmenter_rig import PARTITIONS, Rig, segmenter_rig


class Counting:
    """Counts the control rows that are read."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.controls = 0

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        found: list[Any] = await self._pool.fetch(query, *arguments)
        if "kind = 'control'" in query:
            self.controls += len(found)
        return found


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def defined(rig: Rig, key: str, name: str, *partitions: int) -> None:
    """A live segment of whoever has an event of this name."""
    when = {"event": {"name": name}}
    definition = {"kind": "segment", "id": key, "name": key, "when": when}
    for control in ("define", "activate"):
        payload = msgspec.json.encode({"segment_id": key, "version": 1, "definition": definition})
        for q in partitions or range(PARTITIONS):
            row = ControlRow(
                **await rig.header(q), id=f"{control}-{key}", control=control, payload=msgspec.Raw(payload)
            )
            await rig.store(q, row)


async def members(rig: Rig, timeline: PostgresTimeline, profile: str) -> set[str]:
    history = await timeline.history([profile], replayed=True)
    folded = history.replay(profile, rig.q(profile), 1_000, rig.time)
    return set(folded.customers[profile].members)


async def test_control_rows_are_read_once_and_then_those_behind_them(rig: Rig) -> None:
    pool = Counting(rig.pool)
    timeline = PostgresTimeline(pool)  # type: ignore[arg-type]
    await defined(rig, "a", "A")
    await rig.event("p1", "A", lost=True)
    await rig.event("p1", "B", lost=True)
    assert await members(rig, timeline, "p1") == {"a"}
    assert pool.controls == 2 * PARTITIONS
    await defined(rig, "b", "B")
    assert await members(rig, timeline, "p1") == {"a", "b"}
    assert pool.controls == 2 * PARTITIONS + 3 * PARTITIONS, "the new ones, and each partition's last known"
    assert await members(rig, timeline, "p1") == {"a", "b"}
    assert pool.controls == 5 * PARTITIONS + PARTITIONS


async def test_a_partition_gets_its_first_control_row_after_the_others(rig: Rig) -> None:
    timeline = PostgresTimeline(rig.pool)
    home = rig.q("p1")
    await rig.event("p1", "A", lost=True)
    await defined(rig, "other", "A", 1 - home)
    await defined(rig, "other2", "A", 1 - home)
    assert await members(rig, timeline, "p1") == set()
    await defined(rig, "a", "A", home)
    assert await members(rig, timeline, "p1") == {"a"}


@pytest.mark.parametrize("instead", ["b", None])
async def test_a_restored_database_has_other_control_rows(rig: Rig, instead: str | None) -> None:
    timeline = PostgresTimeline(rig.pool)
    await rig.event("p1", "A", lost=True)
    await defined(rig, "kept", "A")
    before = {q: (await rig.header(q))["seq"] for q in range(PARTITIONS)}
    await defined(rig, "lost", "A")
    assert await members(rig, timeline, "p1") == {"kept", "lost"}
    for q, seq in before.items():
        await rig.pool.execute("DELETE FROM profiles.timeline WHERE q = $1 AND seq >= $2", q, seq)
    rig.epoch = 2
    if instead is not None:
        await defined(rig, instead, "A")
    assert await members(rig, timeline, "p1") == {"kept", *([instead] if instead is not None else [])}
