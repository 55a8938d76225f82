"""Text messages: how many parts they are sent in, and letters that make them fewer (3GPP TS 23.038). Pure."""

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import phonenumbers

from headrace.contracts.policy import SmsPolicy

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM_ONE, _GSM_MORE = 160, 153
_UCS_ONE, _UCS_MORE = 70, 67
_PLAIN = {
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\t", " "),
    **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", ""),
    "…": "...",
    "•": "-",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """`characters` in units of the encoding: septets of GSM-7 (the euro sign is two), UTF-16 units of UCS-2."""

    encoding: Literal["gsm7", "ucs2"]
    characters: int
    parts: int


def count(text: str) -> Parts:
    """In how many parts the text is sent; a character that takes two units is never cut."""
    if all(letter in _BASIC or letter in _EXTENSION for letter in text):
        return _counted("gsm7", [2 if letter in _EXTENSION else 1 for letter in text], _GSM_ONE, _GSM_MORE)
    return _counted("ucs2", [2 if ord(letter) > 0xFFFF else 1 for letter in text], _UCS_ONE, _UCS_MORE)


def _counted(encoding: Literal["gsm7", "ucs2"], units: list[int], one: int, more: int) -> Parts:
    total = sum(units)
    if total <= one:
        return Parts(encoding, total, 1)
    parts, room = 1, more
    for unit in units:
        if unit > room:
            parts, room = parts + 1, more
        room -= unit
    return Parts(encoding, total, parts)


def transliterate(text: str) -> str:
    """The text with letters of GSM-7 where there are some: č becomes c. What has none stays, so that nothing is
    lost; letters that GSM-7 knows (é, ä, ü) stay as they are."""
    return "".join(_plain(letter) for letter in unicodedata.normalize("NFC", text))


def _plain(letter: str) -> str:
    if letter in _BASIC or letter in _EXTENSION:
        return letter
    if letter in _PLAIN:
        return _PLAIN[letter]
    base = "".join(part for part in unicodedata.normalize("NFD", letter) if not unicodedata.combining(part))
    return base if base and all(part in _BASIC for part in base) else letter


def country_of(number: str) -> str | None:
    """Of a number in E.164, the country in ISO 3166 letters."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) or None
    except phonenumbers.NumberParseException:
        return None


def sms_cost(text: str, number: str, policy: SmsPolicy) -> tuple[int, str | None, Decimal]:
    """(parts, country, price in the policy's currency)."""
    parts, country = count(text).parts, country_of(number)
    return parts, country, parts * policy.price(country)
