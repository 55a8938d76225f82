"""Public routes that links in messages point at. Everything comes from the signed token."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from headrace.contracts.instant import Millis
from services.messenger.tokens import Keyring
from services.messenger.unsubscribe import Unsubscribes

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.5rem 1.5rem}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""
_FORM = """<p>You will get no more marketing messages at this address.</p>
<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button></form>"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def public_routes(
    unsubscribes: Unsubscribes,
    keyring: Keyring,
    *,
    clock: Callable[[], Millis],
    on_outcome: Callable[[], None],
) -> APIRouter:
    """`GET|POST /u/{token}`, by RFC 8058: GET shows a page and changes nothing (mail scanners follow links),
    any POST unsubscribes, without cookies, login or redirect."""
    router = APIRouter()

    @router.get("/u/{token}", response_class=HTMLResponse)
    async def confirm(token: str) -> HTMLResponse:
        message_id = keyring.verify("unsubscribe", token)
        if message_id is None or not await unsubscribes.exists(message_id):
            return _unknown()
        return _page(200, "Unsubscribe?", _FORM)

    @router.post("/u/{token}", response_class=HTMLResponse)
    async def unsubscribe(token: str) -> HTMLResponse:
        message_id = keyring.verify("unsubscribe", token)
        if message_id is None or not await unsubscribes.unsubscribe(message_id, clock()):
            return _unknown()
        on_outcome()
        return _page(
            200, "You are unsubscribed", "<p>You will get no more marketing messages at this address.</p>"
        )

    return router


def unsubscribe_link(public_url: str, keyring: Keyring) -> Callable[[str], str]:
    """Message id to its unsubscribe link."""
    return lambda message_id: f"{public_url}/u/{keyring.sign('unsubscribe', message_id)}"


def _unknown() -> HTMLResponse:
    return _page(404, "This link is not valid", "<p>Please use the link in the latest message you got.</p>")


def _page(status: int, title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=title, body=body), status, _HEADERS)
