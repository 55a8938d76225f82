"""HTTP of suppressions: whether an address is not to be written to, saying so by hand, and taking it back."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis, format_instant
from services.messenger.address import normal_address
from services.messenger.store import Pool
from services.messenger.tokens import Keyring

log = structlog.get_logger()

Channel = Literal["sms", "email", "viber", "whatsapp"]
Reason = Literal["unsubscribed", "complained", "bounced", "opted_out"]
_SELECT = """
    SELECT channel, reason, at FROM suppression WHERE channel = $1 AND address_hash = $2 ORDER BY at, reason
"""
# Said again it counts from now: a consent that came between does not outlive it.
_INSERT = """
    INSERT INTO suppression AS s VALUES ($1, $2, $3, $4, 0)
    ON CONFLICT (channel, address_hash, reason) DO UPDATE SET at = greatest(s.at, excluded.at)
"""
_DELETE = "DELETE FROM suppression WHERE channel = $1 AND address_hash = $2 RETURNING reason"


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: Channel
    address: Annotated[str, Field(min_length=1, max_length=320)]


class NewSuppression(Address):
    reason: Reason = "unsubscribed"


def suppression_routes(
    pool: Pool, keyring: Keyring, *, clock: Callable[[], Millis], phone_region: str | None
) -> APIRouter:
    """Addresses are kept as keyed hashes only: they can be asked for, never listed."""
    router = APIRouter()

    def hashed(wanted: Address) -> str:
        address = normal_address(wanted.channel, wanted.address, phone_region=phone_region)
        if address is None:
            raise ApiError(
                400, "invalid_address", f"This is no address for {wanted.channel}: +420601000001, a@b.cz."
            )
        return keyring.address_hash(wanted.channel, address)

    @router.get("/suppressions")
    async def get(
        channel: Channel, address: Annotated[str, Query(min_length=1, max_length=320)]
    ) -> dict[str, Any]:
        rows = await pool.fetch(_SELECT, channel, hashed(Address(channel=channel, address=address)))
        return {
            "items": [
                {"channel": r["channel"], "reason": r["reason"], "at": format_instant(r["at"])} for r in rows
            ],
            "next": None,
        }

    @router.post("/suppressions")
    async def put(wanted: NewSuppression) -> dict[str, Any]:
        """Nothing is sent to this address any more, as far as the reason goes."""
        await pool.execute(_INSERT, wanted.channel, hashed(wanted), wanted.reason, clock())
        log.info("suppressed_by_hand", channel=wanted.channel, reason=wanted.reason)
        return {"success": True}

    @router.delete("/suppressions")
    async def delete(wanted: Address) -> dict[str, Any]:
        """The address may be written to again, as far as consent allows."""
        rows = await pool.fetch(_DELETE, wanted.channel, hashed(wanted))
        log.info("suppression_lifted", channel=wanted.channel, reasons=sorted(row["reason"] for row in rows))
        return {"success": True, "lifted": sorted(row["reason"] for row in rows)}

    return router
