"""Which given codes an event redeems. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.contracts.instant import Millis

REDEEMING = frozenset({"Coupon Applied", "Order Completed"})
"""The events that may name a voucher's code."""
Redeemed = Literal["in_time", "late", "by_another"]

SKEW_MS = 300_000
"""An order may carry a time so much before that of its code: clocks differ. What is older is history that names
the same word."""
_MAX_CODES = 20
_CODE = re.compile(r"[A-Za-z0-9_-]{3,64}")


@dataclass(frozen=True, slots=True)
class Use:
    """An event that names codes, in capitals. `root`: whose it is now; `number`: its place in the batch."""

    number: int
    root: str
    at: Millis
    codes: Sequence[str]
    order_id: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """A code that was given to the customer `root` (None: who is erased) and has not been redeemed."""

    id: int
    pool_id: str
    code: str
    shared: bool
    root: str | None
    assigned_at: Millis
    expires_at: Millis | None
    campaign_id: str | None
    entry_id: str | None


@dataclass(frozen=True, slots=True)
class Redemption:
    use: Use
    given: Given
    redeemed: Redeemed


def codes_in(event: str | None, properties: Any) -> tuple[str, ...]:
    """The codes that the event names, in capitals, without repeats: `coupon`, `coupon_id`, `coupon_name` and the
    `coupon` of each product."""
    if event not in REDEEMING or not isinstance(properties, Mapping):
        return ()
    named = [properties.get(name) for name in ("coupon", "coupon_id", "coupon_name")]
    products = properties.get("products")
    lines = products if isinstance(products, list) else []
    named += [line.get("coupon") for line in lines if isinstance(line, Mapping)]
    words = (name.strip() for name in named if isinstance(name, str))
    return tuple(dict.fromkeys(word.upper() for word in words if _CODE.fullmatch(word)))[:_MAX_CODES]


def order_in(properties: Any) -> str | None:
    """The event's `order_id` as text."""
    order = properties.get("order_id") if isinstance(properties, Mapping) else None
    if isinstance(order, bool) or not isinstance(order, str | int):
        return None
    return str(order).replace("\0", "")[:200]


def redemptions(uses: Iterable[Use], given: Iterable[Given]) -> Iterator[Redemption]:
    """What these events redeem, one after the other: each given code once, of several with the same word the
    customer's own, the one that was given first. A shared code is redeemed only by whom it was given to."""
    open_: dict[str, list[Given]] = {}
    for one in sorted(given, key=lambda one: (one.assigned_at, one.id)):
        open_.setdefault(one.code.upper(), []).append(one)
    for use in uses:
        for code in use.codes:
            picked = _pick(use, open_.get(code, ()))
            if picked is not None:
                open_[code].remove(picked)
                yield Redemption(use, picked, _how(use, picked))


def _pick(use: Use, given: Iterable[Given]) -> Given | None:
    fitting = [one for one in given if one.assigned_at <= use.at + SKEW_MS]
    own = [one for one in fitting if one.root == use.root]
    others = [one for one in fitting if not one.shared]
    return next(iter(own + others), None)


def _how(use: Use, given: Given) -> Redeemed:
    if given.root != use.root:
        return "by_another"
    return "late" if given.expires_at is not None and given.expires_at < use.at else "in_time"
