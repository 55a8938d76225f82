"""The language of a customer, and which of a template's languages fits. Pure."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}))?(?:[.@].{0,20})?")
V = TypeVar("V")


def locale_of(traits: Mapping[str, Any]) -> str | None:
    """The trait `locale`, else `language`, as `cs` or `cs-CZ`; None where neither is a language's code."""
    return next((found for name in ("locale", "language") if (found := read_locale(traits.get(name)))), None)


def read_locale(value: object) -> str | None:
    """`cs_CZ.UTF-8` is `cs-CZ`. None for what is no language's code."""
    match = _LOCALE.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 50 else None
    if match is None:
        return None
    language, country = match[1].lower(), match[2]
    return f"{language}-{country.upper()}" if country else language


def variant(locales: Mapping[str, V], wanted: str | None) -> tuple[str, V] | None:
    """The variant for `cs-CZ` is that of cs-CZ, else of cs; None: the default fits best."""
    if wanted is None:
        return None
    for name in (wanted, language_of(wanted)):
        if name in locales:
            return name, locales[name]
    return None


def language_of(locale: str) -> str:
    return locale.partition("-")[0]
