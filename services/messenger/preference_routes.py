"""`GET|POST /p/{token}`: how a customer wants to be written to. Who it is comes from the signed token alone."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from headrace.contracts.instant import Millis
from services.messenger.choices import decide, stop
from services.messenger.form import read_form
from services.messenger.links import PublicLinks
from services.messenger.page import language_of, not_valid, page
from services.messenger.page_texts import TEXTS
from services.messenger.preferences import Known, Preferences
from services.messenger.preferences_page import STOP, NoNumber, Notice, preferences_body, read_choice


def preference_routes(preferences: Preferences, links: PublicLinks, *, clock: Callable[[], Millis]) -> APIRouter:
    """GET shows and changes nothing: scanners follow links. No cookies: the token in the path is all there is."""
    router = APIRouter()

    @router.get("/p/{token}", response_class=HTMLResponse)
    async def show(token: str, request: Request) -> HTMLResponse:
        message_id = links.keyring.verify("preferences", token)
        known = await preferences.of(message_id) if message_id is not None else None
        return _shown(known, request)

    @router.post("/p/{token}", response_class=HTMLResponse)
    async def save(token: str, request: Request) -> HTMLResponse:
        message_id = links.keyring.verify("preferences", token)
        if message_id is None:
            return _shown(None, request)
        form = await read_form(request)
        if STOP in form:
            known = await preferences.choose(message_id, lambda now: stop(now.standing), clock())
            return _shown(known, request, "stopped")
        try:
            choice = read_choice(form)
        except NoNumber:
            return _shown(await preferences.of(message_id), request, "monthly_wrong")
        if choice is None:
            return _shown(await preferences.of(message_id), request)
        chosen = choice
        known = await preferences.choose(message_id, lambda now: decide(now.standing, chosen), clock())
        return _shown(known, request, "saved")

    return router


def _shown(known: Known | None, request: Request, notice: str | None = None) -> HTMLResponse:
    accepted = request.headers.get("accept-language", "")
    if known is None:
        return not_valid(accepted)
    language = language_of(accepted, known.customer.traits)
    texts = TEXTS[language]
    wrong = notice == "monthly_wrong"
    said = Notice(getattr(texts, notice), wrong) if notice is not None else None
    body = preferences_body(known.standing, known.topics, language, said)
    return page(language, texts.preferences, body, status=400 if wrong else 200)
