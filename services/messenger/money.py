"""Amounts of money as they are written in a language: `1 234,50 Kč`, `€1,234.50`. Pure."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from services.messenger.locales import language_of

NBSP = "\u00a0"
_SYMBOLS = {"CZK": "Kč", "EUR": "€", "PLN": "zł", "HUF": "Ft", "USD": "$", "GBP": "£", "UAH": "₴", "JPY": "¥"}
_SYMBOLS |= {"RON": "lei", "BGN": "лв.", "SEK": "kr", "NOK": "kr", "DKK": "kr.", "CHF": "CHF", "TRY": "₺"}
_WHOLE = frozenset({"HUF", "JPY", "KRW", "ISK", "CLP", "VND", "IDR"})
_HOME = {"CZK": "cs", "EUR": "en", "PLN": "pl", "HUF": "hu", "RON": "ro", "BGN": "bg", "SEK": "sv", "NOK": "nb"}
_HOME |= {"DKK": "da", "UAH": "uk", "CHF": "de-CH", "TRY": "tr"}
_SPACED = ["bg", "cs", "sk", "fr", "nb", "no", "sv", "fi", "uk", "ru", "hu", "et", "lv", "lt", "pl"]
_DOTTED = ["de", "es", "it", "nl", "da", "hr", "sl", "sr", "ro", "pt", "el", "tr", "id"]
# what separates thousands, and what the fraction
_MARKS = {**dict.fromkeys(_SPACED, (NBSP, ",")), **dict.fromkeys(_DOTTED, (".", ",")), "de-CH": ("’", ".")}
_ENGLISH = (",", ".")
_MOST = Decimal(10) ** 15


def money(value: object, currency: str, locale: str | None) -> str:
    """Empty for what is no amount. `currency`: its code by ISO 4217, or empty; `locale` None: the one where it is
    at home."""
    amount = _amount(value)
    if amount is None:
        return ""
    code = currency.strip().upper()[:10]
    where = locale or _HOME.get(code, "en")
    digits = number(amount, where, 0 if code in _WHOLE else 2)
    if not code:
        return digits
    symbol = _SYMBOLS.get(code, code)
    if marks_of(where) != _ENGLISH and where != "de-CH":
        return f"{digits}{NBSP}{symbol}"
    space = NBSP if symbol[-1].isalnum() else ""
    sign, plain = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    return f"{sign}{symbol}{space}{plain}"


def number(amount: Decimal, locale: str, places: int) -> str:
    """Rounded half up, as money is."""
    group, point = marks_of(locale)
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    text = f"{rounded + 0:,f}"
    return text.translate({ord(","): group, ord("."): point})


def marks_of(locale: str) -> tuple[str, str]:
    return _MARKS.get(locale) or _MARKS.get(language_of(locale), _ENGLISH)


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value).strip()) if len(str(value)) < 100 else None
    except (InvalidOperation, ValueError):
        return None
    return amount if amount is not None and amount.is_finite() and abs(amount) < _MOST else None
