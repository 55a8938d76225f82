"""`POST /v1/republish`: an output partition is published again from a number on, for receivers that have a gap."""

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from headrace.contracts.errors import ApiError
from headrace.runtime.access.guard import GUARD
from headrace.runtime.openapi import Operation, answers
from headrace.runtime.publisher import NotHeld, Relay, RepublishInterrupted

REPUBLISH: Operation = answers(
    {"success": Literal[True], "partition": int, "from_seq": int, "records": int}, 409, 503
)

RelayOf = Callable[[int], Relay | None]


class RepublishRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    partition: int = Field(ge=0)
    from_seq: int = Field(ge=1)


def republish_router(relay_of: RelayOf, *, partitions: int) -> APIRouter:
    """`relay_of` gives the relay of a partition that this process owns, else None: only the owner publishes."""
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    @router.post("/republish")
    async def republish(wanted: RepublishRequest) -> dict[str, Any]:
        """Returns once all of it is durable. Receivers drop what they have. Safe to repeat."""
        partition = known(wanted.partition, partitions)
        relay = relay_of(partition)
        if relay is None:
            raise not_owner(partition)
        try:
            records = await relay.republish(wanted.from_seq)
        except NotHeld as error:
            raise ApiError(409, "not_held", str(error)) from error
        except RepublishInterrupted as error:
            raise ApiError(503, "interrupted", str(error), retry_after=1) from error
        return {"success": True, "partition": partition, "from_seq": wanted.from_seq, "records": records}

    return router


def known(partition: int, partitions: int) -> int:
    """Raises ApiError 400 for a partition that does not exist."""
    if partition >= partitions:
        raise ApiError(400, "unknown_partition", f"Send a partition below {partitions}.")
    return partition


def not_owner(partition: int) -> ApiError:
    return ApiError(
        409,
        "not_owner",
        f"This process does not work on partition {partition} now. Ask another process of this service, or "
        "this one again in a few seconds.",
    )
