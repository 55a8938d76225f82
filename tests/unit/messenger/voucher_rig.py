"""What the tests of voucher codes share: a pool, codes in it, customers who get and use them."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from headrace.contracts.voucher import parse_voucher_pool
from services.messenger.definitions import Definitions
from services.messenger.journeys import VoucherWish
from services.messenger.redemption import redeem
from services.messenger.voucher_codes import VoucherCodes
from services.messenger.vouchers import Vouchers
from tests.unit.messenger.rig import START, Rig
from tests.unit.messenger.test_journeys import done

POOL = {"kind": "vouchers", "id": "spring", "name": "Spring"}


async def pool(rig: Rig, **fields: Any) -> None:
    await Definitions(rig.pool).put("vouchers", parse_voucher_pool({**POOL, **fields}), START)


async def each_of(codes: Iterable[str]) -> AsyncIterator[str]:
    for code in codes:
        yield code


async def upload(rig: Rig, *codes: str) -> None:
    await VoucherCodes(rig.pool).upload("spring", each_of(codes), START)


async def assign(rig: Rig, *wishes: str) -> list[str | None]:
    """A code of the pool for each entry, of a customer of its own."""
    asked = [VoucherWish("spring", "welcome", wish, "0", f"p-{wish}") for wish in wishes]
    async with rig.pool.acquire() as connection, connection.transaction():
        given = await Vouchers(Definitions(rig.pool)).assign(connection, asked, START)
    return [code["code"] if code is not None else None for code in given.values()]


async def used(
    rig: Rig, profile_id: str, *, at: int = START, imported: bool = False, **properties: Any
) -> list[tuple[str, str]]:
    """The codes that an order redeems, and how."""
    row = done(profile_id, "Order Completed", f"m{at}{profile_id}", at, properties, imported=imported)
    async with rig.pool.acquire() as connection, connection.transaction():
        found = await redeem(connection, [row])
    return [(new.update.properties["code"], new.update.properties["redeemed"]) for new in found]
