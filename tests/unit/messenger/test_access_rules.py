"""No route of the messenger stands open by oversight."""

from services.messenger.access import RULES
from tests.guarded import check_routes
from tests.unit.messenger.rig import Rig

PUBLIC = {
    "GET /u/{token}",
    "POST /u/{token}",
    "GET /p/{token}",
    "POST /p/{token}",
    "GET /c/{token}",
    "HEAD /c/{token}",
    "GET /o/{token}.gif",
    "HEAD /o/{token}.gif",
}
"""What links in messages lead to; each has a signed token."""


async def test_every_route_asks_for_a_scope(rig: Rig) -> None:
    check_routes((await rig.assemble()).app, RULES, public=PUBLIC)
