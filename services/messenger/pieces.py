"""The texts of a template: which there are, and which of them a customer gets. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.contracts.template import (
    EmailTemplate,
    EmailVariant,
    SmsTemplate,
    Template,
    TextVariant,
    ViberTemplate,
    WhatsAppTemplate,
)
from services.messenger.locales import variant

PARAMETERS = "parameters"
_PLACE = re.compile(r"\{\{-?\s*([1-9][0-9]?)\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class Piece:
    """`field` is the part of the message; `path` where it stands in the definition."""

    field: str
    path: str
    source: str
    written: Literal["text", "html", "mjml"]


def chosen(template: Template, locale: str | None) -> tuple[str | None, Sequence[Piece]]:
    """The variant for this language (None: the default), and its texts."""
    if isinstance(template, WhatsAppTemplate):
        return None, [*_whatsapp(template)]
    locales: Mapping[str, TextVariant | EmailVariant] = {**template.locales}
    found = variant(locales, locale)
    if found is None:
        return None, [*_texts(template), *_common(template)]
    return found[0], [*_texts(found[1]), *_common(template)]


def every(template: Template) -> Sequence[Piece]:
    """The texts of all variants."""
    if isinstance(template, WhatsAppTemplate):
        return [*_whatsapp(template)]
    others = [piece for name, text in template.locales.items() for piece in _texts(text, f"locales.{name}.")]
    return [*_texts(template), *_common(template), *others]


def _texts(variant: TextVariant | EmailVariant, at: str = "") -> Iterator[Piece]:
    if isinstance(variant, TextVariant):
        yield Piece("text", f"{at}text", variant.text, "text")
        return
    yield Piece("subject", f"{at}subject", variant.subject, "text")
    if variant.html is not None:
        yield Piece("html", f"{at}html", variant.html, "html")
    if variant.mjml is not None:
        yield Piece("html", f"{at}mjml", variant.mjml, "mjml")
    if variant.text is not None:
        yield Piece("text", f"{at}text", variant.text, "text")


def _common(template: SmsTemplate | ViberTemplate | EmailTemplate) -> Iterable[Piece]:
    if isinstance(template, ViberTemplate):
        for field in ("image_url", "button", "button_url"):
            source = getattr(template, field)
            if source is not None:
                yield Piece(field, field, source, "text")


def _whatsapp(template: WhatsAppTemplate) -> Iterable[Piece]:
    for number, source in enumerate(template.parameters):
        yield Piece(f"{PARAMETERS}.{number}", f"{PARAMETERS}.{number}", source, "text")
    if template.text is not None:
        # what WhatsApp writes as {{1}} is Liquid's number 1: here it is the first parameter
        yield Piece("text", "text", _PLACE.sub(_parameter, template.text), "text")


def _parameter(match: re.Match[str]) -> str:
    return f"{{{{ {PARAMETERS}[{int(match[1]) - 1}] }}}}"
