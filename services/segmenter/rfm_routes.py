"""HTTP of RFM scores: the cut points in use and who falls where; have them computed now."""

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_conditions import RFM_CLASSES
from headrace.runtime.access.guard import GUARD
from services.segmenter.cut_points import CutPointKeeper, Present
from services.segmenter.definitions import Definitions
from services.segmenter.populations import Population

_SCORES = 5


class ComputeRequest(BaseModel):
    """Which: those of a segment, or one `population` as `GET /v1/rfm` shows it; neither: all in use."""

    model_config = ConfigDict(extra="forbid")

    segment_id: str | None = None
    population: str | None = None


def rfm_router(keeper: CutPointKeeper, definitions: Definitions) -> APIRouter:
    router = APIRouter(prefix="/v1/rfm", dependencies=[GUARD])

    @router.get("")
    async def cut_points() -> dict[str, Any]:
        """The populations in use, each with its present cut points; `version` null: not computed yet."""
        return await _listed(keeper, await keeper.in_use())

    @router.post("/compute")
    async def compute(request: ComputeRequest | None = None) -> dict[str, Any]:
        """Compute cut points now; what moved gets a new version and is on its way to the segments on return."""
        in_use = await keeper.in_use()
        chosen = await _chosen(request or ComputeRequest(), in_use, definitions)
        await keeper.compute(chosen)
        return await _listed(keeper, {population: in_use[population] for population in chosen})

    return router


async def _chosen(
    request: ComputeRequest, in_use: dict[Population, list[str]], definitions: Definitions
) -> list[Population]:
    if request.segment_id is not None and request.population is not None:
        raise ApiError(400, "invalid_request", "Name segment_id or population, not both.")
    if request.population is not None:
        chosen = [population for population in in_use if population.text == request.population]
        if not chosen:
            raise ApiError(404, "unknown_population", "No segment uses this population; see GET /v1/rfm.")
        return chosen
    if request.segment_id is None:
        return list(in_use)
    chosen = [population for population, segments in in_use.items() if request.segment_id in segments]
    if not chosen:
        await definitions.get(request.segment_id)
        raise ApiError(409, "no_rfm_condition", f"Segment {request.segment_id!r} has no rfm condition.")
    return chosen


async def _listed(keeper: CutPointKeeper, wanted: dict[Population, list[str]]) -> dict[str, Any]:
    present = await keeper.present(wanted)
    items = [_shown(population, ids, present.get(population.text)) for population, ids in wanted.items()]
    return {"items": items, "next": None}


def _shown(population: Population, segments: Collection[str], present: Present | None) -> dict[str, Any]:
    shape = {
        "population": population.text,
        "event": population.names,
        "of": population.of,
        "within_ms": population.within_ms,
        "segments": segments,
    }
    if present is None:
        return {**shape, "version": None}
    cuts = present.cuts
    return {
        **shape,
        "version": cuts.version,
        "at": format_instant(cuts.at),
        "computed_at": format_instant(present.computed_at),
        "recency": [format_instant(instant) for instant in cuts.recency],
        "frequency": cuts.frequency,
        "monetary": cuts.monetary,
        "customers": present.customers,
        "classes": _classes(present.cells),
    }


def _classes(cells: Collection[int]) -> dict[str, int]:
    """How many customers are in each class."""
    scores = [(r, f) for r in range(1, _SCORES + 1) for f in range(1, _SCORES + 1)]
    counted = dict(zip(scores, cells, strict=True))
    return {
        name: sum(counted[r, f] for r in recency for f in frequency)
        for name, (recency, frequency) in RFM_CLASSES.items()
    }
