"""The address of a customer on a channel: phone numbers as E.164, e-mail addresses as SMTP wants them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from headrace.contracts.identifiers import EMAIL, PHONE

_IDENTIFIER = {"sms": PHONE, "viber": PHONE, "whatsapp": PHONE, "email": EMAIL}


def address_for(
    channel: str,
    traits: Mapping[str, Any],
    identifiers: Sequence[Mapping[str, Any]],
    *,
    phone_region: str | None = None,
) -> str | None:
    """The usable address: the trait (what the customer said last), else an identifier; None without one."""
    kind = _IDENTIFIER.get(channel)
    if kind is None:
        return None  # a webhook goes to a server
    candidates = [traits.get(kind), *(i.get("value") for i in identifiers if i.get("type") == kind)]
    for candidate in candidates:
        address = _phone(candidate, phone_region) if kind == PHONE else _email(candidate)
        if address is not None:
            return address
    return None


def normal_address(channel: str, text: str, *, phone_region: str | None = None) -> str | None:
    """The address as it is sent to, of one that somebody wrote; None when it is none."""
    kind = _IDENTIFIER.get(channel)
    return None if kind is None else _phone(text, phone_region) if kind == PHONE else _email(text)


def _phone(value: object, region: str | None) -> str | None:
    """E.164 of a number with a country code, or of a national one of `region` (ISO 3166 letters)."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or len(text) > 40:
        return None
    international = f"+{text[2:]}" if text.startswith("00") else text
    try:
        number = phonenumbers.parse(international, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _email(value: object) -> str | None:
    """The address in ASCII (domain in its IDNA form), or None where SMTP would need SMTPUTF8."""
    if not isinstance(value, str):
        return None
    try:
        found = validate_email(value.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return found.ascii_email
