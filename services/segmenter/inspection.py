"""Answers from history: why a customer is in a segment or not (DESIGN §4.7)."""

from typing import Any

import asyncpg

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant
from services.segmenter.catalog import Catalog, Version
from services.segmenter.commit import Timeline
from services.segmenter.customer import Customer
from services.segmenter.explain import Explanation
from services.segmenter.history import explaining_plan
from services.segmenter.members import Members


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
        """`paused`: membership does not follow the condition now. Raises ApiError 404, or 409 while the segment
        has no live version."""
        root = await self.root(profile_id)
        snapshot, customer = await self._members.customer(root)
        slot = snapshot.catalog.slot_of(segment_id)
        if slot is None or slot.live is None:
            raise not_live(segment_id)
        mark = snapshot.mark
        found = await self.explained(snapshot.catalog, slot.live, segment_id, customer, seq=mark.seq, now=mark.now)
        return {**found, "paused": slot.paused}

    async def explained(
        self, catalog: Catalog, version: Version, segment_id: str, customer: Customer, *, seq: int, now: int
    ) -> dict[str, Any]:
        """What this live version of the segment says of the customer after its partition's row `seq`, at `now`."""
        plan = explaining_plan(catalog, version)
        history = await self._timeline.history([customer.profile_id])
        explanation = Explanation(plan, history, customer, seq=seq, now=now, asked=catalog.definitions())
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
            "profile_id": customer.profile_id,
            "member": held is not None,
            "membership": membership,
            **explanation.of(plan.segments[segment_id]),
        }


def not_live(segment_id: str) -> ApiError:
    return ApiError(
        409, "not_live", f"Segment {segment_id!r} has no live version yet; see GET /v1/segments/{segment_id}."
    )
