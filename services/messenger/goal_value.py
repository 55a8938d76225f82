"""What an event was worth. Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_OTHERWISE = ("properties.revenue", "properties.value")
_MOST = Decimal(10) ** 15
_FINEST = -20  # places that a store keeps: 1e-999999 is a number too
_CURRENCY = re.compile(r"[A-Za-z]{3}")


def order_value(properties: Mapping[str, Any], path: str) -> tuple[Decimal | None, str | None]:
    """The amount at `path` (`properties.total`), else at the places where the e-commerce events put it, and the
    event's currency. None for what is not there or is no amount."""
    found = (_amount(properties, one) for one in (path, *_OTHERWISE))
    currency = properties.get("currency")
    return (
        next((amount for amount in found if amount is not None), None),
        currency.upper() if isinstance(currency, str) and _CURRENCY.fullmatch(currency) else None,
    )


def _amount(properties: Mapping[str, Any], path: str) -> Decimal | None:
    value: Any = {"properties": properties}
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    if not amount.is_finite() or abs(amount) >= _MOST:
        return None
    exponent = amount.as_tuple().exponent
    return amount if isinstance(exponent, int) and exponent >= _FINEST else None
