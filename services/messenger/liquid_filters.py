"""The filters of templates: Liquid's within bounds, and ours."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from liquid import RenderContext
from liquid.exceptions import LiquidError, OutputStreamLimitError
from liquid.filter import with_context

from services.messenger.held import held_in
from services.messenger.local_date import local_date
from services.messenger.money import NBSP, money
from services.messenger.vocative import vocative

MAX_VALUE = 512 * 1024
"""Characters of a text, or items of a list, that a filter may be given or give."""
_MAX_WORK = 40 * 1024 * 1024
UNSAFE = frozenset({"safe"})
"""Filters that would let what a customer wrote into HTML as it is."""


class Work:
    """How much the filters of one rendering have read."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, amount: int) -> None:
        self.done += amount
        if self.done > _MAX_WORK:
            raise OutputStreamLimitError("the filters have too much to do", token=None)


work: ContextVar[Work] = ContextVar("work")


def bounded(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """The engine bounds what is written, not what filters make: some multiply what they are given."""
    grown = _GROWTH.get(name)

    def checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        spent = work.get(None)
        if spent is not None:
            spent.add(1 + _size(value))
        if grown is not None:
            _check(grown(value, *args))
        result = plain(value, *args, **kwargs)
        _check(_size(result))
        return result

    for flag in ("with_context", "with_environment"):
        setattr(checked, flag, getattr(plain, flag, False))
    return checked


def _check(size: int) -> None:
    if size > MAX_VALUE:
        raise OutputStreamLimitError("output stream limit reached", token=None)


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def _replaced_size(value: object, old: object = "", new: object = "", *_: object) -> int:
    text = str(value)
    return len(text) + text.count(str(old)) * len(str(new))


def _joined_size(value: object, separator: object = " ", *_: object) -> int:
    return (len(value) if isinstance(value, list | tuple) else 1) * len(str(separator))


_GROWTH: dict[str, Callable[..., int]] = {"replace": _replaced_size, "join": _joined_size}


def _vocative(value: object) -> str:
    """`Jana` is addressed as `Jano`."""
    return vocative(value if isinstance(value, str) else "")


@with_context
def _money(value: object, currency: object = "", locale: object = None, *, context: RenderContext) -> str:
    """In the language of the text; with spaces that do not break in HTML, and such as an SMS knows elsewhere."""
    held = held_in(context)
    language = locale if isinstance(locale, str) else held.locale if held is not None else None
    text = money(value, currency if isinstance(currency, str) else "", language)
    return text if context.autoescape else text.replace(NBSP, " ")


@with_context
def _date_local(value: object, pattern: object = "%-d. %-m. %Y", *, context: RenderContext) -> str:
    """In the customer's time zone."""
    held = held_in(context)
    if not isinstance(pattern, str):
        raise LiquidError("date_local takes a pattern such as '%d. %m.'", token=None)
    return local_date(
        value,
        pattern,
        zone=held.zone if held is not None else None,
        locale=held.locale if held is not None else None,
    )


OURS: dict[str, Callable[..., Any]] = {"vocative": _vocative, "money": _money, "date_local": _date_local}
