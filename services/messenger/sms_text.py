"""How a text travels as SMS: its alphabet, its parts and their cost, and a cheaper spelling. Pure.

GSM 7-bit default alphabet and its extension table: 3GPP TS 23.038 §6.2.1; parts: 3GPP TS 23.040 §9.2.3.24.1.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import phonenumbers

from headrace.contracts.policy import SmsPolicy

Encoding = Literal["GSM-7", "UCS-2"]

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Each of these takes the place of two."""
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_ALL_OF_GSM_7 = GSM_7 | GSM_7_EXTENSION
_ONE = {"GSM-7": 160, "UCS-2": 70}
_OF_SEVERAL = {"GSM-7": 153, "UCS-2": 67}

# What has no decomposition, or a better stand-in than its base letter.
_STAND_INS = {
    **dict.fromkeys("łĿ", "l"),
    **dict.fromkeys("đð", "d"),
    **{"Ł": "L", "Đ": "D", "Ð": "D", "ı": "i", "ħ": "h", "Ħ": "H", "þ": "th", "Þ": "Th", "œ": "oe", "Œ": "OE"},
    **{"ő": "ö", "Ő": "Ö", "ű": "ü", "Ű": "Ü", "ẞ": "SS", "ə": "e", "Ə": "E", "ŧ": "t", "Ŧ": "T"},
    **dict.fromkeys("“”„‟«»″〝〞", '"'),
    **dict.fromkeys("‘’‚‛‹›′`´ʼ", "'"),
    **dict.fromkeys("‐‑‒–—―−•·", "-"),
    **dict.fromkeys(
        "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t", " "
    ),
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f", ""),
    **{"…": "...", "×": "x", "÷": ":", "™": "TM", "®": "(R)", "©": "(C)", "°": "", "№": "No", "⁄": "/"},
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "¢": "c", "±": "+/-", "→": "->", "←": "<-", "≤": "<=", "≥": ">="},
}


@dataclass(frozen=True, slots=True)
class Parts:
    """`characters` are what is counted: of GSM-7 those of the extension table twice, of UCS-2 UTF-16 units."""

    encoding: Encoding
    characters: int
    parts: int


def count(text: str) -> Parts:
    """How the text is sent. No character is split between two parts. An empty text has no part."""
    encoding: Encoding = "GSM-7" if is_gsm_7(text) else "UCS-2"
    characters = _characters(text, encoding)
    if characters <= _ONE[encoding]:
        return Parts(encoding, characters, 1 if text else 0)
    parts, room = 1, _OF_SEVERAL[encoding]
    for size in (_size(letter, encoding) for letter in text):
        if size > room:
            parts, room = parts + 1, _OF_SEVERAL[encoding]
        room -= size
    return Parts(encoding, characters, parts)


def is_gsm_7(text: str) -> bool:
    return _ALL_OF_GSM_7.issuperset(text)


def transliterate(text: str) -> str:
    """Letters, quotes, dashes and spaces that GSM-7 lacks become the nearest that it has (ř: r, ő: ö, …: ...).
    What it has stays as it is (é, ä, ß), and so does what has nothing near it (emoji, other scripts)."""
    return "".join(_stand_in(letter) for letter in unicodedata.normalize("NFC", text))


def cheapest(text: str) -> str:
    """The transliterated text where that takes fewer parts or leaves the text in GSM-7; else the text itself:
    letters are not worn down for nothing."""
    plain = transliterate(text)
    if is_gsm_7(plain) or count(plain).parts < count(text).parts:
        return plain
    return text


def sms_cost(text: str, number: str | None, policy: SmsPolicy) -> tuple[int, str | None, Decimal]:
    """(parts, ISO 3166 country of the E.164 number or None, cost in the policy's currency)."""
    parts = count(text).parts
    country = country_of(number)
    return parts, country, parts * policy.price(country)


def country_of(number: str | None) -> str | None:
    """None for a number that belongs to no single country, or is none."""
    if number is not None and _E164.fullmatch(number):
        regions = _regions(number)
        if len(regions) == 1:  # as most: nothing more of the number matters
            return None if regions[0] == "001" else regions[0]
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(number or ""))
    except phonenumbers.NumberParseException:
        return None
    return str(region) if region is not None and region != "001" else None


def _regions(number: str) -> tuple[str, ...]:
    """Of an E.164 number, the regions that share its country code. No code begins with another."""
    for end in (2, 3, 4):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(number[1:end]))
        if regions is not None:
            return tuple(regions)
    return ()


def _characters(text: str, encoding: Encoding) -> int:
    if encoding == "UCS-2":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    doubled = 0 if GSM_7_EXTENSION.isdisjoint(text) else sum(letter in GSM_7_EXTENSION for letter in text)
    return len(text) + doubled


def _size(letter: str, encoding: Encoding) -> int:
    if encoding == "GSM-7":
        return 2 if letter in GSM_7_EXTENSION else 1
    return 2 if ord(letter) > 0xFFFF else 1


def _stand_in(letter: str) -> str:
    if letter in GSM_7 or letter in GSM_7_EXTENSION:
        return letter
    if letter in _STAND_INS:
        return _STAND_INS[letter]
    base = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return base if base and is_gsm_7(base) else letter
