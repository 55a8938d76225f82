"""Answers from history: explain one customer, preview a definition, verify live membership (DESIGN §4.7)."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant
from headrace.contracts.segment import Definition
from services.segmenter.catalog import Version
from services.segmenter.commit import Timeline
from services.segmenter.compiler import compile_plan
from services.segmenter.explain import Explanation
from services.segmenter.history import explaining_plan
from services.segmenter.members import Members, Snapshot
from services.segmenter.plan import Plan

CHUNK = 500
SAMPLE = 10


class Inspection:
    def __init__(self, members: Members, timeline: Timeline, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._members = members
        self._timeline = timeline
        self._pool = pool

    async def root(self, profile_id: str) -> str:
        """The profile that this one has become, if it was merged away."""
        if "\0" in profile_id:  # Postgres has no such text
            return profile_id
        root = await self._pool.fetchval("SELECT root FROM profiles.alias_v1 WHERE profile_id = $1", profile_id)
        return root or profile_id

    async def explain(self, segment_id: str, profile_id: str) -> dict[str, Any]:
        """Raises ApiError 404, or 409 while the segment has no live version."""
        root = await self.root(profile_id)
        snapshot, customer = await self._members.customer(root)
        version = _live(snapshot, segment_id)
        asked = snapshot.catalog.definitions()
        plan = explaining_plan(snapshot.catalog, version)
        history = await self._timeline.history([root])
        explanation = Explanation(
            plan, history, customer, seq=snapshot.mark.seq, now=snapshot.mark.now, asked=asked
        )
        held = customer.members.get(segment_id)
        membership = None
        if held is not None:
            membership = {
                "version": held.version,
                "entered_at": format_instant(held.entered_at),
                "entry_id": held.entry_id,
                "cause_message_id": held.cause_message_id,
            }
        return {
            "segment_id": segment_id,
            "version": version.number,
            "profile_id": root,
            "member": held is not None,
            "membership": membership,
            **explanation.of(plan.segments[segment_id]),
        }

    async def preview(self, definition: Definition) -> dict[str, Any]:
        """Who would be a member now: the exact count and a sample."""
        plan = compile_plan([(definition, 0)])
        count = 0
        sample: list[str] = []
        async for snapshot, truths in self._evaluated(plan, definition.id):
            inside = [profile_id for profile_id in snapshot.customers if truths[profile_id]]
            count += len(inside)
            sample += inside[: SAMPLE - len(sample)]
        return {"count": count, "sample": sample}

    async def verify(self, segment_id: str) -> dict[str, Any]:
        """Compare live membership with a recomputation at exactly the stored position and instant."""
        checked, mismatches = 0, []
        version = await self._any_live(segment_id)
        plan = compile_plan([(version.parse(), version.number)])
        async for snapshot, truths in self._evaluated(plan, segment_id):
            if snapshot.mark.swept is not None:
                continue  # between two definitions: some have the members of one, some of the other
            slot = snapshot.catalog.slots.get(segment_id)
            if slot is None or slot.live is None or slot.paused or slot.live.number != version.number:
                continue
            for profile_id, customer in snapshot.customers.items():
                checked += 1
                if (segment_id in customer.members) != truths[profile_id]:
                    mismatches.append({"profile_id": profile_id, "expected": truths[profile_id]})
        return {"checked": checked, "mismatches": len(mismatches), "examples": mismatches[:SAMPLE]}

    async def _evaluated(self, plan: Plan, segment_id: str) -> AsyncIterator[tuple[Snapshot, dict[str, bool]]]:
        """Every customer, a chunk at a time, with the truth that its history gives."""
        segment = plan.segments[segment_id]
        for q in range(self._members.partitions):
            ids = await self._members.profile_ids(q)
            for start in range(0, len(ids), CHUNK):
                snapshot = await self._members.snapshot(q, ids[start : start + CHUNK])
                if snapshot is None:
                    break
                history = await self._timeline.history(sorted(snapshot.customers))
                seq, now = snapshot.mark.seq, snapshot.mark.now
                yield (
                    snapshot,
                    {
                        profile_id: segment.truth(history.state(plan, profile_id, seq + 1, now), now)
                        for profile_id in snapshot.customers
                    },
                )

    async def _any_live(self, segment_id: str) -> Version:
        for q in range(self._members.partitions):
            snapshot = await self._members.snapshot(q, ())
            if snapshot is not None:
                return _live(snapshot, segment_id)
        raise _not_live(segment_id)


def _live(snapshot: Snapshot, segment_id: str) -> Version:
    slot = snapshot.catalog.slot_of(segment_id)
    if slot is None or slot.live is None:
        raise _not_live(segment_id)
    return slot.live


def _not_live(segment_id: str) -> ApiError:
    return ApiError(
        409, "not_live", f"Segment {segment_id!r} has no live version yet; see GET /v1/segments/{segment_id}."
    )
