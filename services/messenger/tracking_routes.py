"""Public routes of tracking: `GET /c/{token}` leads on, `GET /o/{token}.gif` is a pixel. HEAD counts nothing."""

from base64 import b64decode
from collections.abc import Callable

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from headrace.contracts.instant import Millis
from services.messenger.engagement import Hit
from services.messenger.hits import Hits
from services.messenger.links import PublicLinks
from services.messenger.page import not_valid
from services.messenger.tracking import location, web_target
from services.messenger.visitors import is_machine

log = structlog.get_logger()

# 43 bytes: one transparent point
PIXEL = b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def tracking_routes(hits: Hits, links: PublicLinks, *, clock: Callable[[], Millis]) -> APIRouter:
    """Where a click leads is looked up by what its token names. What cannot be written is lost, and never keeps
    anybody from where they wanted to go."""
    router = APIRouter()

    async def click(token: str, request: Request) -> Response:
        named = links.clicked(token)
        target = web_target(await hits.target(*named) or "") if named is not None else None
        if named is None or target is None:
            return not_valid(request.headers.get("accept-language", ""))
        if request.method == "GET":
            await _record(Hit(named[0], clock(), is_machine(request.headers), named[1]))
        return Response(status_code=302, headers={**_HEADERS, "Location": location(target)})

    async def pixel(token: str, request: Request) -> Response:
        message_id = links.keyring.verify("open", token)
        if message_id is not None and request.method == "GET":
            await _record(Hit(message_id, clock(), is_machine(request.headers)))
        return Response(PIXEL, 404 if message_id is None else 200, _HEADERS, "image/gif")

    async def _record(hit: Hit) -> None:
        try:
            await hits.record(hit)
        except Exception as error:
            log.warning("hit_lost", message_id=hit.message_id, error=type(error).__name__, exc_info=error)

    for path, answer, kind in (("/c/{token}", click, HTMLResponse), ("/o/{token}.gif", pixel, Response)):
        router.add_api_route(path, answer, methods=["GET"], response_class=kind)
        router.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    return router
