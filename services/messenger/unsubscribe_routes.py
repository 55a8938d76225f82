"""`GET|POST /u/{token}`, by RFC 8058: GET shows a page and changes nothing (mail scanners follow links), POST
unsubscribes, without cookies, login or redirect."""

from collections.abc import Callable
from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from headrace.contracts.instant import Millis
from services.messenger.choices import without_topic
from services.messenger.form import read_form
from services.messenger.links import PublicLinks
from services.messenger.page import language_of, not_valid, page, paragraph
from services.messenger.page_texts import TEXTS
from services.messenger.preferences import Known, Preferences
from services.messenger.preferences_page import topic_name
from services.messenger.unsubscribe import Unsubscribes

_SCOPE, _TOPIC = "scope", "topic"


def unsubscribe_routes(
    unsubscribes: Unsubscribes,
    preferences: Preferences,
    links: PublicLinks,
    *,
    clock: Callable[[], Millis],
    on_outcome: Callable[[], None],
) -> APIRouter:
    router = APIRouter()

    @router.get("/u/{token}", response_class=HTMLResponse)
    async def confirm(token: str, request: Request) -> HTMLResponse:
        message_id = links.keyring.verify("unsubscribe", token)
        if message_id is None or not await unsubscribes.exists(message_id):
            return not_valid(_accepted(request))
        known = await preferences.of(message_id)
        language = _language(request, known)
        title, sentence = TEXTS[language].unsubscribe
        body = (
            paragraph(sentence) + _forms(language, _topic(known, language)) + to_page(message_id, language, known)
        )
        return page(language, title, body)

    @router.post("/u/{token}", response_class=HTMLResponse)
    async def unsubscribe(token: str, request: Request) -> HTMLResponse:
        """Whatever the body is, it unsubscribes: urlencoded, multipart or none. Only our own page's second form
        asks for less."""
        message_id = links.keyring.verify("unsubscribe", token)
        if message_id is None:
            return not_valid(_accepted(request))
        if (await read_form(request)).get(_SCOPE) == [_TOPIC]:
            known = await preferences.choose(
                message_id, lambda now: without_topic(now.standing, now.topic) if now.topic else None, clock()
            )
            if known is not None and known.topic is not None:
                return left(message_id, request, known)
        if not await unsubscribes.unsubscribe(message_id, clock()):
            return not_valid(_accepted(request))
        on_outcome()
        known = await preferences.of(message_id)
        language = _language(request, known)
        title, sentence = TEXTS[language].unsubscribed
        return page(language, title, paragraph(sentence, role="status") + to_page(message_id, language, known))

    def left(message_id: str, request: Request, known: Known) -> HTMLResponse:
        language = _language(request, known)
        title, sentence = TEXTS[language].topic_left
        said = sentence.replace("{topic}", _topic(known, language) or "")
        return page(language, title, paragraph(said, role="status") + to_page(message_id, language, known))

    def to_page(message_id: str, language: str, known: Known | None) -> str:
        """The way to the preferences, for whom there is still somebody to choose."""
        if known is None:
            return ""
        url = escape(links.preferences(message_id))
        return f'<p><a href="{url}">{escape(TEXTS[language].to_preferences)}</a></p>'

    return router


def _forms(language: str, topic: str | None) -> str:
    texts = TEXTS[language]
    everything = (
        '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
        f'<button type="submit">{escape(texts.unsubscribe_button)}</button></form>'
    )
    if topic is None:
        return everything
    return (
        f"{everything}{paragraph(texts.only_topic.replace('{topic}', topic))}"
        f'<form method="post"><input type="hidden" name="{_SCOPE}" value="{_TOPIC}">'
        f'<button class="other" type="submit">{escape(texts.only_topic_button)}</button></form>'
    )


def _topic(known: Known | None, language: str) -> str | None:
    """The name of the campaign's topic, if it has one."""
    if known is None or known.topic is None:
        return None
    return topic_name(known.topic, known.topics.get(known.topic), language)


def _language(request: Request, known: Known | None) -> str:
    return language_of(_accepted(request), known.customer.traits if known is not None else None)


def _accepted(request: Request) -> str:
    return request.headers.get("accept-language", "")
