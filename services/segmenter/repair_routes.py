"""HTTP of rebuilding (DESIGN §4.7): ask for it, see how far it is."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from headrace.runtime.access.guard import GUARD
from headrace.runtime.republish import known, not_owner
from services.segmenter.commit import StateStore
from services.segmenter.repair import Repairs


class RebuildRequest(BaseModel):
    """`partition` null: all that this process works on."""

    model_config = ConfigDict(extra="forbid")

    partition: int | None = Field(default=None, ge=0)


def rebuild_router(repairs: Repairs, store: StateStore, *, partitions: int) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    @router.post("/rebuild")
    async def rebuild(wanted: RebuildRequest) -> dict[str, Any]:
        """Forget the partition's state and fold it again from history; publishes nothing twice. Returns when it
        is accepted."""
        asked = repairs.partitions
        if wanted.partition is not None:
            if known(wanted.partition, partitions) not in asked:
                raise not_owner(wanted.partition)
            asked = [wanted.partition]
        elif not asked:
            raise not_owner(0)
        for partition in asked:
            repairs.want_rebuild(partition)
        others = partitions - len(repairs.partitions)
        return {"success": True, "partitions": asked, "elsewhere": others if wanted.partition is None else 0}

    @router.get("/rebuild")
    async def progress() -> dict[str, Any]:
        """This process's partitions: `rebuilding` or `live`, and the last row applied."""
        items = []
        for partition in repairs.partitions:
            loaded = await store.load(partition)
            state = "rebuilding" if repairs.wanted(partition) else "live"
            seq = loaded[0].seq if loaded is not None else 0
            items.append({"partition": partition, "state": state, "seq": seq})
        return {"items": items, "next": None}

    return router
