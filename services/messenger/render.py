"""Templates to finished texts, within limits. Pure.

A template is code that a marketer wrote: it gets only the variables of DESIGN §7, blocks but no files, and a
bounded amount of loops, memory and output. What customers wrote is data: it is never compiled, and is escaped in
HTML.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from liquid.exceptions import LiquidError

from headrace.contracts.errors import HeadraceError
from headrace.contracts.template import (
    BlockDefinition,
    EmailTemplate,
    SmsTemplate,
    Template,
    ViberTemplate,
    WhatsAppTemplate,
)
from services.messenger.held import Held
from services.messenger.html_text import html_to_text
from services.messenger.liquid_engine import Flavour, run
from services.messenger.locales import locale_of
from services.messenger.mjml import MjmlFailed, mjml_to_html
from services.messenger.pieces import PARAMETERS, Piece, chosen
from services.messenger.sms_text import Parts, cheapest, count

NO_BLOCKS: Mapping[str, BlockDefinition] = {}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TEXT_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)


class TemplateFailed(HeadraceError):
    """The template could not be rendered for this customer. The message says why, without their data."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished message. `subject` and `html` only for e-mail, `parts` only for SMS; `extras` as `Outgoing` has
    them. `locale` is the variant that was chosen, None for the default. `missing` are the names of what the
    template asks for and the customer lacks: it is empty in the text."""

    text: str
    subject: str | None = None
    html: str | None = None
    locale: str | None = None
    missing: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
    parts: Parts | None = None


def render(
    template: Template,
    variables: Mapping[str, Any],
    *,
    blocks: Mapping[str, BlockDefinition] = NO_BLOCKS,
    zone: str | None = None,
    locale: str | None = None,
) -> Rendered:
    """Raises TemplateFailed. A subject is one line; texts keep line breaks and lose other control characters.

    `blocks`: those that there are, by id. `zone`: for customers of whom no time zone is known. `locale`: instead
    of the customer's own language."""
    profile = variables.get("profile") or {}
    wanted = locale or locale_of(profile.get("traits") or {})
    name, pieces = chosen(template, wanted)
    held = Held(blocks, profile.get("time_zone") or zone, wanted or name)
    done = _rendered(pieces, variables, held)
    parts = _finished(template, done)
    return Rendered(**{**parts, "locale": name, "missing": tuple(held.missing)})


def render_text(source: str, variables: Mapping[str, Any]) -> str:
    """A piece of Liquid that stands for itself. Raises TemplateFailed."""
    return _piece(Piece("text", "text", source, "text"), variables, Held())


def single_line(text: str) -> str:
    """Fit for a header: every run of control characters (line breaks too) becomes one space."""
    return _CONTROLS.sub(" ", text).strip()


def _rendered(pieces: Sequence[Piece], variables: Mapping[str, Any], held: Held) -> dict[str, str]:
    done: dict[str, str] = {}
    for piece in pieces:
        known = {**variables, PARAMETERS: _parameters(done)} if piece.field == "text" else variables
        done[piece.field] = _piece(piece, known, held)
    return done


def _parameters(done: Mapping[str, str]) -> list[str]:
    return [single_line(text) for name, text in done.items() if name.startswith(f"{PARAMETERS}.")]


def _finished(template: Template, done: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(template, EmailTemplate):
        return _email(done)
    if isinstance(template, WhatsAppTemplate):
        return _whatsapp(template, done)
    text = done["text"].strip()
    if isinstance(template, SmsTemplate):
        text = cheapest(text) if template.transliterate else text
    if not text:
        raise TemplateFailed("the text is empty")
    if isinstance(template, ViberTemplate):
        return {"text": text, "extras": _viber(done)}
    return {"text": text, "parts": count(text)}


def _email(done: Mapping[str, str]) -> dict[str, Any]:
    html = done.get("html")
    text = done["text"] if "text" in done else html_to_text(html or "")
    subject = single_line(done["subject"])
    if not subject:
        raise TemplateFailed("the subject is empty")
    if not text.strip() and not (html or "").strip():
        raise TemplateFailed("the e-mail is empty")
    return {"text": text, "subject": subject, "html": html}


def _viber(done: Mapping[str, str]) -> dict[str, str]:
    """A button without words or without an address is left out; an address is http or https."""
    found = {
        name: text for name in ("image_url", "button", "button_url") if (text := single_line(done.get(name, "")))
    }
    for name in ("image_url", "button_url"):
        if name in found and not _LINK.fullmatch(found[name]):
            raise TemplateFailed(f"{name} is no http or https address")
    if not ("button" in found and "button_url" in found):
        return {name: text for name, text in found.items() if name == "image_url"}
    return found


def _whatsapp(template: WhatsAppTemplate, done: Mapping[str, str]) -> dict[str, Any]:
    """WhatsApp refuses an empty parameter, and line breaks or many spaces in one."""
    parameters = [re.sub(r" {2,}", " ", text) for text in _parameters(done)]
    empty = [number for number, text in enumerate(parameters, 1) if not text]
    if empty:
        raise TemplateFailed(f'parameter {empty[0]} is empty; give it a default: {{{{ … | default: "…" }}}}')
    text = done.get("text", "").strip() or " · ".join(parameters) or template.name
    extras = {"name": template.name, "language": template.language, PARAMETERS: parameters}
    return {"text": text, "extras": extras}


def _piece(piece: Piece, variables: Mapping[str, Any], held: Held) -> str:
    flavour: Flavour = "text" if piece.written == "text" else "html"
    try:
        source = mjml_to_html(piece.source) if piece.written == "mjml" else piece.source
        text = run(source, flavour, variables, held)
    except MjmlFailed as error:
        raise TemplateFailed(f"{piece.field}: MJML: {error}") from error
    except LiquidError as error:
        raise TemplateFailed(f"{piece.field}: {type(error).__name__}") from error
    except Exception as error:
        # whatever a filter does with odd data, only this message fails
        raise TemplateFailed(f"{piece.field}: a filter got a value it cannot handle") from error
    return _TEXT_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
