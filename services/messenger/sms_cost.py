"""What a text message costs: its parts times the price of the country that the number belongs to. Pure."""

from decimal import Decimal

import phonenumbers

from headrace.contracts.policy import SmsPolicy
from services.messenger.sms_text import count


def sms_cost(text: str, number: str | None, policy: SmsPolicy) -> tuple[int, str | None, Decimal]:
    """(parts, ISO 3166 country of the E.164 number or None, cost in the policy's currency)."""
    parts = count(text).parts
    country = country_of(number)
    return parts, country, parts * policy.price(country)


def country_of(number: str | None) -> str | None:
    """None for a number that belongs to no single country, or is none."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(number or ""))
    except phonenumbers.NumberParseException:
        return None
    return str(region) if region is not None and region != "001" else None
