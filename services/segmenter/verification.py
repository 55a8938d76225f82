"""Live membership against the second evaluator, at exactly the stored position and instant (DESIGN §6).

A chunk of customers is read from Redis as of one commit; rows of the timeline up to that commit's row then say
what should stand there.
"""

import asyncio
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import msgspec

from headrace.contracts.profile_event import ControlRequest
from headrace.contracts.segment import SegmentDefinition
from headrace.runtime.metrics import Metrics
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.catalog import Slot
from services.segmenter.controls import Controls
from services.segmenter.customer import Customer
from services.segmenter.inspection import Inspection, not_live
from services.segmenter.recount import Recount, by_customers, evaluator_of
from services.segmenter.standing import Standing, Standings

CHUNK = 200
EXAMPLES = 10
REPAIRED_AT_ONCE = 1_000
_LOOKS = 40
_LOOK_EVERY = 0.05

Sample = float | int | None
"""A share of the customers (below 1, or a float), so many of them, or everybody."""


@dataclass(slots=True)
class Findings:
    """`checked` counts customers times segments; `skipped` those for whom a segment was paused, not live yet or
    being swept. `wrong`: by partition and segment, who differs."""

    checked: int = 0
    mismatches: int = 0
    skipped: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    wrong: dict[tuple[int, str], list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """`known`: Redis has the customer; `member` and `listed`: as the customer's own record and the segment's list
    have it."""

    segment: SegmentDefinition
    profile_id: str
    expected: bool
    known: bool
    member: bool
    listed: bool


class Verification:
    """`clock` gives milliseconds since the epoch."""

    def __init__(
        self,
        standings: Standings,
        recount: Recount,
        inspection: Inspection,
        controls: Controls,
        metrics: Metrics,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._standings = standings
        self._recount = recount
        self._inspection = inspection
        self._controls = controls
        self._metrics = metrics
        self._clock = clock

    async def run(
        self, segment_ids: Sequence[str], *, sample: Sample = None, repair: bool = False
    ) -> dict[str, Any]:
        """Compare these segments' members, of everybody or of a sample; with `repair` ask the stream to put right
        who differs. Raises ApiError 409 when none is live anywhere."""
        await self._require_live(segment_ids)
        findings = Findings()
        for q, profile_ids in (await self._chosen(segment_ids, sample)).items():
            for start in range(0, len(profile_ids), CHUNK):
                await self._chunk(q, profile_ids[start : start + CHUNK], segment_ids, findings)
        for segment_id in segment_ids:
            self._metrics.verify_last_run.labels(segment_id).set(self._clock() / 1000)
        return {
            "checked": findings.checked,
            "mismatches": findings.mismatches,
            "skipped": findings.skipped,
            "examples": findings.examples,
            "repairs": await self._repair(findings.wrong) if repair else 0,
        }

    async def _require_live(self, segment_ids: Sequence[str]) -> None:
        for q in range(self._standings.partitions):
            catalog = await self._standings.catalog(q)
            slots = map(catalog.slot_of, segment_ids)
            if any(slot is not None and slot.live is not None for slot in slots):
                return
        raise not_live(segment_ids[0])

    async def _chosen(self, segment_ids: Sequence[str], sample: Sample) -> dict[int, list[str]]:
        """Whom to look at, by partition, ascending: whoever Redis or the timeline knows."""
        salt = os.urandom(8)
        everybody: dict[int, list[str]] = {}
        for q in range(self._standings.partitions):
            known = await self._standings.profile_ids(q, segment_ids)
            everybody[q] = sorted(known | await self._recount.profile_ids(q))
        if sample is None:
            return everybody
        if isinstance(sample, float):
            limit = int(sample * 2**64)
            return {q: [key for key in keys if _place(salt, key) < limit] for q, keys in everybody.items()}
        drawn = heapq.nsmallest(
            sample, ((_place(salt, key), q, key) for q, keys in everybody.items() for key in keys)
        )
        return {q: sorted(key for _, home, key in drawn if home == q) for q in everybody}

    async def _chunk(
        self, q: int, profile_ids: Sequence[str], segment_ids: Sequence[str], findings: Findings
    ) -> None:
        standing = await self._settled(q, profile_ids, segment_ids)
        if standing is None:
            findings.skipped += len(profile_ids) * len(segment_ids)
            return
        live = {key: standing.catalog.slot_of(key) for key in segment_ids}
        definitions = standing.catalog.definitions()
        segments = [definitions[key] for key, slot in live.items() if _evaluated(slot)]
        late = {key for key in profile_ids if standing.unsettled(key)} if not standing.sweeping else {*profile_ids}
        findings.skipped += len(profile_ids) * (len(segment_ids) - len(segments)) + len(late) * len(segments)
        asked = [key for key in profile_ids if key not in late]
        if segments and asked:
            await self._compare(standing, segments, asked, findings)

    async def _settled(self, q: int, profile_ids: Sequence[str], segment_ids: Sequence[str]) -> Standing | None:
        """The chunk as of a commit between two records, if such a moment comes within two seconds."""
        standing = None
        for _ in range(_LOOKS):
            standing = await self._standings.customers(q, profile_ids, segment_ids)
            if standing is None or not (standing.sweeping or any(map(standing.unsettled, profile_ids))):
                break
            await asyncio.sleep(_LOOK_EVERY)
        return standing

    async def _compare(
        self,
        standing: Standing,
        segments: Sequence[SegmentDefinition],
        profile_ids: Sequence[str],
        findings: Findings,
    ) -> None:
        evaluator = evaluator_of(standing.catalog, by_customers(standing))
        subjects: dict[str, Subject] = {}
        expected: dict[str, list[bool]] = {}
        conditions = [segment.when for segment in segments]
        async with aclosing(self._recount.of(standing, evaluator, conditions, profile_ids)) as found:
            async for subject, results in found:
                expected[subject.profile_id] = results
                subjects[subject.profile_id] = subject
        there = {*expected, *standing.customers, *(key for found in standing.listed.values() for key in found)}
        checked = [key for key in profile_ids if key in there]
        for index, segment in enumerate(segments):
            truth = {key: results[index] for key, results in expected.items()}
            wrong = list(differences(standing, segment, checked, truth))
            findings.checked += len(checked)
            findings.mismatches += len(wrong)
            self._metrics.verify_checked.labels(segment.id).inc(len(checked))
            self._metrics.verify_mismatches.labels(segment.id).inc(len(wrong))
            if wrong:
                key = standing.partition, segment.id
                findings.wrong.setdefault(key, []).extend(one.profile_id for one in wrong)
            for one in wrong[: EXAMPLES - len(findings.examples)]:
                findings.examples.append(await self._shown(standing, evaluator, one, subjects.get(one.profile_id)))

    async def _shown(
        self, standing: Standing, evaluator: Evaluator, one: Difference, subject: Subject | None
    ) -> dict[str, Any]:
        """The difference with how each evaluator comes to its result; `expected` null: the timeline has nobody."""
        customer = standing.customers.get(one.profile_id) or Customer(one.profile_id)
        slot = standing.catalog.slot_of(one.segment.id)
        assert slot is not None, "only live segments are compared"
        assert slot.live is not None, "only live segments are compared"
        mark = standing.mark
        return {
            "profile_id": one.profile_id,
            "segment_id": one.segment.id,
            "expected": one.expected if subject is not None else None,
            "known": one.known,
            "member": one.member,
            "listed": one.listed,
            "incremental": await self._inspection.explained(
                standing.catalog, slot.live, one.segment.id, customer, seq=mark.seq, now=mark.now
            ),
            "batch": None if subject is None else evaluator.explain(one.segment.when, subject, mark.now),
        }

    async def _repair(self, wrong: Mapping[tuple[int, str], Sequence[str]]) -> int:
        """Ask for them all; return how many memberships that is."""
        asked = 0
        for (_, segment_id), profile_ids in sorted(wrong.items()):
            for start in range(0, len(profile_ids), REPAIRED_AT_ONCE):
                chunk = tuple(profile_ids[start : start + REPAIRED_AT_ONCE])
                await self._controls.post(repair_request(segment_id, chunk))
                asked += len(chunk)
        return asked


def repair_request(segment_id: str, profile_ids: tuple[str, ...]) -> ControlRequest:
    """Have these customers recomputed from history; what changes is published with reason=repair."""
    payload = msgspec.json.encode({"segments": [segment_id], "profile_ids": profile_ids})
    return ControlRequest(
        id=f"repair:{uuid4().hex}", kind="repair", payload=msgspec.Raw(payload), profile_ids=profile_ids
    )


def differences(
    standing: Standing, segment: SegmentDefinition, profile_ids: Iterable[str], expected: Mapping[str, bool]
) -> Iterator[Difference]:
    """Who of these stands otherwise than `expected` (absent: the timeline has no such customer), ascending. A
    customer whom Redis has lost is one also when it would be no member."""
    listed = standing.listed.get(segment.id, frozenset())
    for profile_id in sorted(profile_ids):
        customer = standing.customers.get(profile_id)
        known = customer is not None
        member = customer is not None and segment.id in customer.members
        inside = profile_id in listed
        truth = expected.get(profile_id, False)
        if (member, inside) != (truth, truth) or (profile_id in expected and not known):
            yield Difference(segment, profile_id, truth, known, member, inside)


def _evaluated(slot: Slot | None) -> bool:
    return slot is not None and slot.live is not None and not slot.paused


def _place(salt: bytes, profile_id: str) -> int:
    return int.from_bytes(blake2b(profile_id.encode(), digest_size=8, key=salt).digest(), "big")
