"""What is an identifier, and its one spelling.

A value that does not pass stays where the sender put it (a trait, a context field); it just links nobody.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from headrace.contracts.identifiers import EMAIL, PHONE, is_placeholder

MAX_BYTES = 256
MAX_TYPE_LENGTH = 64
_MAX_EXACT_INTEGER = 2**53 - 1
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ZERO_WIDTH = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point, and the blank of Braille)."""
_CACHE = 16_384
_PLAIN_EMAIL = re.compile(
    r"[a-zA-Z0-9_+-]+(?:\.[a-zA-Z0-9_+-]+)*@(?:[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*\.)+([a-zA-Z]{2,})"
)
"""What `validate_email` certainly accepts, at a hundredth of its price; the group is the top-level domain."""
_LONGEST_PLAIN = 64
_SPECIAL = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)


def identifier(kind: str, value: object, region: str | None = None) -> str | None:
    """The canonical value of an identifier of type `kind`, or None when it is none.

    `region` is the ISO country whose national phone numbers are understood (`HEADRACE_PHONE_REGION`).
    """
    text = _text(value)
    if text is None:
        return None
    if kind == EMAIL:
        return email(text)
    if kind == PHONE:
        return phone(text, region)
    return text


def identifier_type(value: object) -> str | None:
    """The type of an external id as sent, trimmed; None when it cannot name one."""
    if not isinstance(value, str):
        return None
    kind = unicodedata.normalize("NFC", value).strip()
    return kind if 0 < len(kind) <= MAX_TYPE_LENGTH and _is_visible(kind) else None


@lru_cache(maxsize=_CACHE)
def email(text: str) -> str | None:
    """Lower case, the domain in punycode. Dots and +tags are kept: providers differ on what they mean."""
    if (
        len(text) <= _LONGEST_PLAIN
        and (plain := _PLAIN_EMAIL.fullmatch(text))
        and plain[1].lower() not in _SPECIAL
    ):
        return text.lower()
    try:
        valid = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    spelled = f"{valid.local_part.lower()}@{valid.ascii_domain.lower()}"
    return spelled if len(spelled.encode()) <= MAX_BYTES else None


@lru_cache(maxsize=_CACHE)
def phone(text: str, region: str | None) -> str | None:
    """E.164. Without a region only numbers in international form (`+…` or `00…`) are understood."""
    number = _parsed(text, region)
    if number is None or not phonenumbers.is_valid_number(number):
        return None
    return _e164(number)


def phone_beginning(text: str, region: str | None) -> str | None:
    """How the E.164 numbers begin whose first digits `text` is; None when that cannot be told."""
    number = _parsed(text, region)
    return None if number is None else _e164(number)


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    international = f"+{text[2:]}" if text.startswith("00") else text
    try:
        return phonenumbers.parse(international, region)
    except phonenumbers.NumberParseException:
        return None


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_EXACT_INTEGER:
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.isascii():
        return text if text.isprintable() and len(text) <= MAX_BYTES and not is_placeholder(text) else None
    text = unicodedata.normalize("NFC", text).strip()
    if is_placeholder(text) or not _is_visible(text):
        return None
    return text if len(text.encode("utf-8", "surrogatepass")) <= MAX_BYTES else None


def _is_visible(text: str) -> bool:
    """No control, formatting (zero width, right-to-left) or surrogate characters: they make look-alikes."""
    if text.isascii():
        return text.isprintable()
    if not text.isprintable() and any(unicodedata.category(c) in _UNSEEN for c in text):
        return False
    return _ZERO_WIDTH.search(text) is None
