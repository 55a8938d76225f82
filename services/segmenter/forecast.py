"""What a definition would do if it were put now: whom it would have, who would enter and leave (DESIGN §4.6)."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment import Definition, SegmentDefinition, StagesDefinition
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.recount import Recount, by_lists, evaluator_of, paused_segments
from services.segmenter.references import check_references, dependents
from services.segmenter.standing import Standing, Standings

Cuts = Mapping[str, CutPoints]

SAMPLE = 10
_LOOKS = 40
_LOOK_EVERY = 0.05


@dataclass(slots=True)
class _Tally:
    """How many, and the first of them."""

    count: int = 0
    sample: list[str] = field(default_factory=list)

    def add(self, profile_id: str) -> None:
        self.count += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(profile_id)

    def shown(self) -> dict[str, Any]:
        return {"count": self.count, "sample": self.sample}


@dataclass(slots=True)
class _Moves:
    entering: _Tally = field(default_factory=_Tally)
    leaving: _Tally = field(default_factory=_Tally)
    staying: _Tally = field(default_factory=_Tally)

    @property
    def tallies(self) -> tuple[_Tally, ...]:
        return self.entering, self.leaving, self.staying

    def note(self, profile_id: str, left: set[str]) -> None:
        """The customer would be a member; `left` are the present members that have not been met so far."""
        if profile_id in left:
            left.remove(profile_id)
            self.staying.add(profile_id)
        else:
            self.entering.add(profile_id)

    def shown(self) -> dict[str, Any]:
        return {
            "entering": self.entering.count,
            "leaving": self.leaving.count,
            "staying": self.staying.count,
            "sample_entering": self.entering.sample,
            "sample_leaving": self.leaving.sample,
        }


class Forecast:
    """Counts with the second evaluator, each partition at its stored position and instant. Raises
    InvalidDefinition for a definition that asks for segments which are not there, or in a circle."""

    def __init__(
        self,
        standings: Standings,
        recount: Recount,
        cut_points: CutPointKeeper,
        pool: "asyncpg.Pool[asyncpg.Record]",
    ) -> None:
        self._standings = standings
        self._recount = recount
        self._cut_points = cut_points
        self._pool = pool

    async def preview(self, definition: Definition) -> dict[str, Any]:
        """Who would be a member now: the exact count and a sample; of stages also of each."""
        await check_references(self._pool, self._standings.partitions, definition)
        segments, cuts = definition.segments(), await self._cut_points.drafted(definition)
        everybody, tallies = _Tally(), [_Tally() for _ in segments]
        for q in range(self._standings.partitions):
            standing = await self._settled(q, ())
            if standing is None:
                continue
            async with aclosing(self._truths(standing, segments, cuts)) as found:
                async for profile_id, truths in found:
                    for tally in [tally for tally, truth in zip(tallies, truths, strict=True) if truth]:
                        tally.add(profile_id)
                    if any(truths):
                        everybody.add(profile_id)
        shown = [tally.shown() for tally in tallies]
        return {**everybody.shown(), **_by_stage(definition, shown)}

    async def diff(self, definition: Definition) -> dict[str, Any]:
        """Who would enter and who would leave; of stages, a customer counts once for each that is entered or left.
        `dependents`: the definitions that ask for it, whose members may change as well."""
        partitions = self._standings.partitions
        await check_references(self._pool, partitions, definition)
        moves: dict[str, _Moves] = {}
        cuts = await self._cut_points.drafted(definition)
        for q in range(partitions):
            await self._compare(q, definition, cuts, moves)
        segments = definition.segments()
        shown = [moves.setdefault(segment.id, _Moves()).shown() for segment in segments]
        asking = await dependents(self._pool, partitions, definition)
        return {**_together(list(moves.values())).shown(), "dependents": asking, **_by_stage(definition, shown)}

    async def _compare(self, q: int, definition: Definition, cuts: Cuts, moves: dict[str, _Moves]) -> None:
        segments = definition.segments()
        slot = (await self._standings.catalog(q)).slots.get(definition.id)
        before = slot.live.names() if slot is not None and slot.live is not None else {}
        standing = await self._settled(q, {*before, *(segment.id for segment in segments)})
        if standing is None:
            return
        leaving = {key: set(standing.listed[key]) for key in {*before, *(segment.id for segment in segments)}}
        async with aclosing(self._truths(standing, segments, cuts)) as found:
            async for profile_id, truths in found:
                for segment in [one for one, truth in zip(segments, truths, strict=True) if truth]:
                    moves.setdefault(segment.id, _Moves()).note(profile_id, leaving[segment.id])
        for key, profile_ids in leaving.items():
            for profile_id in sorted(profile_ids):
                moves.setdefault(key, _Moves()).leaving.add(profile_id)

    async def _truths(
        self, standing: Standing, segments: Sequence[SegmentDefinition], cuts: Cuts
    ) -> AsyncGenerator[tuple[str, list[bool]]]:
        evaluator = evaluator_of(standing.catalog, by_lists(standing.listed), cuts)
        conditions = [segment.when for segment in segments]
        async with aclosing(self._recount.of(standing, evaluator, conditions)) as found:
            async for subject, truths in found:
                yield subject.profile_id, truths

    async def _settled(self, q: int, segment_ids: Collection[str]) -> Standing | None:
        """The partition with the members of these segments and of those that are paused: between two records, if
        such a moment comes within two seconds."""
        standing = None
        for _ in range(_LOOKS):
            paused = paused_segments(await self._standings.catalog(q))
            standing = await self._standings.everybody(q, sorted({*segment_ids, *paused}))
            if standing is None:
                return None
            if not standing.sweeping and paused_segments(standing.catalog) == paused:
                break
            await asyncio.sleep(_LOOK_EVERY)
        return standing


def _together(moves: Sequence[_Moves]) -> _Moves:
    """All segments' moves as one: the samples from the first that have any."""
    whole = _Moves()
    for one in moves:
        for tally, part in zip(whole.tallies, one.tallies, strict=True):
            tally.count += part.count
            tally.sample += part.sample[: SAMPLE - len(tally.sample)]
    return whole


def _by_stage(definition: Definition, shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not isinstance(definition, StagesDefinition):
        return {}
    named = zip(definition.stages, definition.segments(), shown, strict=True)
    return {"stages": [{"id": stage.id, "segment_id": segment.id, **one} for stage, segment, one in named]}
