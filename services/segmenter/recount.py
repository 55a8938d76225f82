"""The second evaluator on stored rows: who satisfies conditions at a partition's stored position and instant."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import asyncpg

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment_conditions import Condition
from headrace.contracts.trait import TraitDefinition
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.batch.needs import Needs
from services.segmenter.batch.selection import subjects
from services.segmenter.catalog import Catalog
from services.segmenter.standing import Standing


class Recount:
    """Reads on the primary: whatever a partition has applied was committed there before."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def of(
        self,
        standing: Standing,
        evaluator: Evaluator,
        conditions: Sequence[Condition],
        profile_ids: Collection[str] | None = None,
    ) -> AsyncGenerator[tuple[Subject, list[bool]]]:
        """Every customer of the partition (or of these) with what each condition says of it, by profile id.
        Whoever stops earlier closes it. The evaluator works in a thread beside the event loop."""
        needs = Needs()
        for condition in conditions:
            needs |= evaluator.needs(condition)
        mark = standing.mark
        selected = subjects(self._pool, needs, standing.partition, mark.seq, profile_ids=profile_ids)
        async with aclosing(selected):
            async for some in selected:
                for one in await asyncio.to_thread(_judged, evaluator, conditions, some, mark.now):
                    yield one

    async def values(
        self, standing: Standing, trait: TraitDefinition, profile_ids: Collection[str] | None = None
    ) -> AsyncGenerator[tuple[str, Any]]:
        """Every customer of the partition (or of these) that has a value of this computed trait, by profile id."""
        evaluator, mark = Evaluator({}), standing.mark
        needs, now = evaluator.needs_of(trait), mark.now
        selected = subjects(self._pool, needs, standing.partition, mark.seq, profile_ids=profile_ids)
        async with aclosing(selected):
            async for some in selected:
                for one in await asyncio.to_thread(_valued, evaluator, trait, some, now):
                    yield one

    async def profile_ids(self, partition: int) -> set[str]:
        """Everybody who ever had a row on the partition."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT profile_id FROM profiles.timeline_v1 WHERE partition = $1 AND profile_id <> ''",
            partition,
        )
        return {row["profile_id"] for row in rows}


def _judged(
    evaluator: Evaluator, conditions: Sequence[Condition], some: Sequence[Subject], now: int
) -> list[tuple[Subject, list[bool]]]:
    return [(one, [evaluator.member(condition, one, now) for condition in conditions]) for one in some]


def _valued(
    evaluator: Evaluator, trait: TraitDefinition, some: Sequence[Subject], now: int
) -> list[tuple[str, Any]]:
    values = ((one.profile_id, evaluator.value(trait, one, now)) for one in some)
    return [(profile_id, value) for profile_id, value in values if value is not None]


def evaluator_of(
    catalog: Catalog, members: Callable[[str, str], bool], drafted: Mapping[str, CutPoints] | None = None
) -> Evaluator:
    """For the definitions and cut points that are in force, and those `drafted` of populations that have none; a
    paused segment has the `members` (segment, profile) that it has."""
    frozen = {key: _frozen(members, key) for key in paused_segments(catalog)}
    cuts = {**(drafted or {}), **catalog.cuts}
    return Evaluator(catalog.definitions(), cuts=cuts, frozen=frozen, computed=catalog.traits())


def paused_segments(catalog: Catalog) -> list[str]:
    return sorted(key for _, version in catalog.paused() for key in version.names())


def by_lists(listed: Mapping[str, Collection[str]]) -> Callable[[str, str], bool]:
    return lambda segment_id, profile_id: profile_id in listed.get(segment_id, ())


def by_customers(standing: Standing) -> Callable[[str, str], bool]:
    known = standing.customers
    return lambda segment_id, profile_id: profile_id in known and segment_id in known[profile_id].members


def _frozen(members: Callable[[str, str], bool], segment_id: str) -> Callable[[str], bool]:
    return lambda profile_id: members(segment_id, profile_id)
