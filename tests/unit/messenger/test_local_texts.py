"""Amounts and dates as customers of several languages read them; which language a customer has."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.local_date import local_date
from services.messenger.locales import locale_of, variant
from services.messenger.money import money

ANYTHING: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals()
)


@pytest.mark.parametrize(
    ("value", "currency", "locale", "expected"),
    [
        (1234.5, "CZK", "cs-CZ", "1 234,50 Kč"),
        (1234.5, "CZK", None, "1 234,50 Kč"),
        ("1234.5", "czk", "en", "Kč 1,234.50"),
        (1234567, "EUR", "de-AT", "1.234.567,00 €"),
        (1234.5, "EUR", "en-GB", "€1,234.50"),
        (-0.005, "EUR", "sk", "-0,01 €"),
        (-5, "USD", "en", "-$5.00"),
        (0.004, "USD", "en", "$0.00"),
        (1234.5, "HUF", "hu", "1 235 Ft"),
        (99.9, "PLN", "pl", "99,90 zł"),
        (1234.5, "CHF", "de-CH", "CHF 1’234.50"),
        (12, "XYZ", "xx", "XYZ 12.00"),
        (Decimal("0.125"), "", "cs", "0,13"),
        ("much", "CZK", "cs", ""),
        (True, "CZK", "cs", ""),
        (None, "CZK", "cs", ""),
        (float("nan"), "CZK", "cs", ""),
        (10**20, "CZK", "cs", ""),
    ],
)
def test_money(value: object, currency: str, locale: str | None, expected: str) -> None:
    assert money(value, currency, locale).replace("\u00a0", " ") == expected


@pytest.mark.parametrize(
    ("value", "pattern", "zone", "locale", "expected"),
    [
        ("2026-06-05T22:30:00Z", "%d. %m.", "Europe/Prague", "cs", "06. 06."),
        ("2026-06-05T22:30:00Z", "%-d. %-m. %H:%M", "America/New_York", "cs", "5. 6. 18:30"),
        ("2026-06-05T22:30:00Z", "%A %-d. %B %Y", "UTC", "cs-CZ", "pátek 5. června 2026"),
        ("2026-06-05", "%A %d", "America/New_York", "en", "Friday 05"),
        (1_780_698_600_000, "%d.%m.%Y", "UTC", None, "05.06.2026"),
        (1_780_698_600, "%d.%m.%Y", "UTC", None, "05.06.2026"),
        ("1780698600000", "%d.%m.", "Europe/Prague", "sk", "06.06."),
        ("2026-06-05T22:30:00+02:00", "%H %%", "Nowhere/City", None, "20 %"),
        ("2026-06-05 10:00", "%H:%M %q", "Europe/Prague", None, "12:00 %q"),
        ("soon", "%d", "UTC", "cs", ""),
        (None, "%d", "UTC", "cs", ""),
        (10**18, "%d", "UTC", "cs", ""),
    ],
)
def test_dates(value: object, pattern: str, zone: str, locale: str | None, expected: str) -> None:
    assert local_date(value, pattern, zone=zone, locale=locale) == expected


@given(ANYTHING, st.text(), st.none() | st.text(), st.none() | st.text())
def test_whatever_there_is_becomes_a_text(value: Any, pattern: str, zone: str | None, locale: str | None) -> None:
    assert isinstance(local_date(value, pattern, zone=zone, locale=locale), str)
    assert isinstance(money(value, pattern, locale), str)


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({"locale": "cs-CZ"}, "cs-CZ"),
        ({"locale": "cs_cz.UTF-8"}, "cs-CZ"),
        ({"language": "EN"}, "en"),
        ({"locale": "česky", "language": "sk"}, "sk"),
        ({"locale": 5, "language": None}, None),
        ({}, None),
    ],
)
def test_the_language_of_a_customer(traits: dict[str, Any], expected: str | None) -> None:
    assert locale_of(traits) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("cs-CZ", "cs-CZ"), ("cs-SK", "cs"), ("cs", "cs"), ("de", None), ("en", None), (None, None)],
)
def test_the_variant_for_a_language(wanted: str | None, expected: str | None) -> None:
    found = variant({"cs-CZ": 1, "cs": 2, "en-GB": 3}, wanted)
    assert (found[0] if found else None) == expected
