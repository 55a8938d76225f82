"""What an event was worth. Pure."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_OTHERWISE = ("properties.revenue", "properties.value")
_MOST = Decimal(10) ** 15


def order_value(properties: Mapping[str, Any], path: str) -> tuple[Decimal | None, str | None]:
    """The amount at `path` (`properties.total`), else at the places where the e-commerce events put it, and the
    event's currency. None for what is not there or is no amount."""
    found = (_amount(properties, one) for one in (path, *_OTHERWISE))
    currency = properties.get("currency")
    return (
        next((amount for amount in found if amount is not None), None),
        currency.upper() if isinstance(currency, str) and len(currency) == 3 and currency.isalpha() else None,
    )


def _amount(properties: Mapping[str, Any], path: str) -> Decimal | None:
    value: Any = {"properties": properties}
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < _MOST else None
