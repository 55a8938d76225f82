"""The shell of the pages that links in messages lead to: HTML without scripts and without anything from elsewhere,
for phones as for screen readers."""

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

from fastapi.responses import HTMLResponse

from services.messenger.page_texts import DEFAULT_LANGUAGE, TEXTS

_STYLE = (
    "*{box-sizing:border-box}body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;"
    "padding:1.5rem 1rem;color:#1a1a1a;background:#fff}h1{font-size:1.5rem}fieldset{border:0;margin:0 0 1.5rem;"
    "padding:0}legend,.question{font-weight:600;padding:0;margin:0 0 .5rem;display:block}.option{display:block;"
    "padding:.75rem;margin:.5rem 0;border:1px solid #767676;border-radius:.5rem}.option input{width:1.25rem;"
    "height:1.25rem;vertical-align:-.2rem;margin-right:.75rem}.field{font:inherit;width:100%;padding:.75rem;"
    "margin:0 0 1.5rem;border:1px solid #767676;border-radius:.5rem}button{font:inherit;padding:.75rem 1.5rem;"
    "border:1px solid #1a1a1a;border-radius:.5rem;background:#1a1a1a;color:#fff}button.other{background:#fff;"
    "color:#1a1a1a}form{margin:1rem 0}.error{color:#a40000;font-weight:600}.saved{font-weight:600}"
    ".help{margin:0 0 .5rem}"
)
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,32})?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?")


def language_of(accepted: str, traits: Mapping[str, Any] | None = None) -> str:
    """The customer's own language (trait `locale`, else `language`) when the page has it, else the one that the
    browser likes best (`Accept-Language`), else English."""
    for name in ("locale", "language"):
        said = (traits or {}).get(name)
        language = said[:2].lower() if isinstance(said, str) and not said[2:3].isalpha() else ""
        if language in TEXTS:
            return language
    wanted = [match for part in accepted[:500].split(",") if (match := _RANGE.fullmatch(part)) is not None]
    for match in sorted(wanted, key=lambda one: -float(one[2] or 1)):
        if match[1].lower() in TEXTS and float(match[2] or 1) > 0:
            return match[1].lower()
    return DEFAULT_LANGUAGE


def page(language: str, title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """`body` is HTML; everything in it that is not ours is escaped already."""
    html = (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    return HTMLResponse(html, status, HEADERS)


def paragraph(text: str, *, kind: str = "", role: str = "") -> str:
    marks = "".join(f' {name}="{value}"' for name, value in (("class", kind), ("role", role)) if value)
    return f"<p{marks}>{escape(text)}</p>"


def not_valid(accepted: str) -> HTMLResponse:
    """For a link that we did not sign, or that leads nowhere any more: the page does not say which."""
    language = language_of(accepted)
    title, sentence = TEXTS[language].not_valid
    return page(language, title, paragraph(sentence), status=404)
