"""Published values of a computed trait against the second evaluator, each at a partition's stored position."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from services.segmenter.paths import decode_json
from services.segmenter.recount import Recount
from services.segmenter.standing import Standing, Standings
from services.segmenter.trait_definitions import unknown_trait

CHUNK = 200
EXAMPLES = 10
_LOOKS = 40
_LOOK_EVERY = 0.05


@dataclass(slots=True)
class _Findings:
    checked: int = 0
    mismatches: int = 0
    skipped: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


class TraitVerification:
    def __init__(self, standings: Standings, recount: Recount) -> None:
        self._standings = standings
        self._recount = recount

    async def run(self, trait_id: str) -> dict[str, Any]:
        """Compare everybody: `skipped` are those whose timers or definitions were just being applied. Raises
        ApiError 404 when it is live nowhere."""
        findings, live = _Findings(), False
        for q in range(self._standings.partitions):
            if trait_id not in (await self._standings.catalog(q)).traits():
                continue
            live = True
            known = await self._standings.profile_ids(q, ())
            everybody = sorted(known | await self._recount.profile_ids(q))
            for start in range(0, len(everybody), CHUNK):
                await self._chunk(q, everybody[start : start + CHUNK], trait_id, findings)
        if not live:
            raise unknown_trait(trait_id)
        return {
            "checked": findings.checked,
            "mismatches": findings.mismatches,
            "skipped": findings.skipped,
            "examples": findings.examples,
        }

    async def _chunk(self, q: int, profile_ids: Sequence[str], trait_id: str, findings: _Findings) -> None:
        standing = await self._settled(q, profile_ids)
        trait = None if standing is None else standing.catalog.traits().get(trait_id)
        if standing is None or trait is None or standing.sweeping:
            findings.skipped += len(profile_ids)
            return
        async with aclosing(self._recount.values(standing, trait, profile_ids)) as found:
            expected = {profile_id: value async for profile_id, value in found}
        for profile_id in sorted({*expected, *standing.customers}):
            if standing.unsettled(profile_id):
                findings.skipped += 1
            else:
                _compare(standing, trait_id, profile_id, expected.get(profile_id), findings)

    async def _settled(self, q: int, profile_ids: Sequence[str]) -> Standing | None:
        """The chunk as of a commit between two records, if such a moment comes within two seconds."""
        standing = None
        for _ in range(_LOOKS):
            standing = await self._standings.customers(q, profile_ids, ())
            if standing is None or not (standing.sweeping or any(map(standing.unsettled, profile_ids))):
                break
            await asyncio.sleep(_LOOK_EVERY)
        return standing


def _compare(standing: Standing, trait_id: str, profile_id: str, expected: Any, findings: _Findings) -> None:
    customer = standing.customers.get(profile_id)
    published = None if customer is None else customer.computed.get(trait_id)
    value = None if published is None else decode_json(published[2])
    findings.checked += 1
    if value != expected:
        findings.mismatches += 1
        if len(findings.examples) < EXAMPLES:
            findings.examples.append({"profile_id": profile_id, "published": value, "expected": expected})
