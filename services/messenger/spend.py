"""What text messages cost per day (UTC) and country, and whether one more is affordable."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from headrace.contracts.instant import Millis
from headrace.contracts.policy import SmsPolicy
from services.messenger.sms_text import country_of
from services.messenger.store import Connection

_ALL = ""
_UNKNOWN = "ZZ"


class Budget:
    """A day's money. `limits`: what may be spent, by country and (empty) in all; `spent`: what has been."""

    def __init__(self, day: date, limits: Mapping[str, Decimal], spent: Mapping[str, Decimal]) -> None:
        self._day = day
        self._limits = limits
        self._spent = dict(spent)
        self._parts = dict.fromkeys(spent, 0)
        self._booked: set[str] = set()

    def take(self, country: str | None, cost: Decimal, parts: int) -> bool:
        """Spend it if no limit is in the way. `country` is one that the budget was opened for."""
        keys = (country or _UNKNOWN, _ALL)
        if any(self._spent[key] + cost > self._limits[key] for key in keys if key in self._limits):
            return False
        for key in keys:
            self._spent[key] += cost
            self._parts[key] += parts
            self._booked.add(key)
        return True

    async def book(self, connection: Connection) -> None:
        """Write down what was taken, in the transaction that opened the budget."""
        if self._booked:
            keys = sorted(self._booked)
            costs, parts = [self._spent[key] for key in keys], [self._parts[key] for key in keys]
            await connection.execute(_BOOK, self._day, keys, costs, parts)


async def open_budget(
    connection: Connection, numbers: Collection[str], policy: SmsPolicy, now: Millis
) -> Budget | None:
    """The day's budget for messages to these numbers (E.164): its rows are locked, in one order, until the
    transaction ends. None, and nothing is read, when no limit is set or nobody is written to."""
    if not policy.spend or not numbers:
        return None
    day = datetime.fromtimestamp(now / 1000, UTC).date()
    countries = sorted({country_of(number) or _UNKNOWN for number in numbers} | {_ALL})
    rows = await connection.fetch(_OPEN, day, countries)
    limits: dict[str, Decimal] = {}
    for cap in policy.spend:
        key = cap.country or _ALL
        limits[key] = min(cap.amount, limits.get(key, cap.amount))
    return Budget(day, limits, {row["country"]: Decimal(row["cost"]) for row in rows})


_OPEN = """
    INSERT INTO sms_spend AS s (day, country, parts, cost)
    SELECT $1, country, 0, 0 FROM unnest($2::text[]) AS wanted (country) ORDER BY country
    ON CONFLICT (day, country) DO UPDATE SET cost = s.cost RETURNING country, cost
"""
_BOOK = """
    UPDATE sms_spend s SET cost = b.cost, parts = s.parts + b.parts
    FROM unnest($2::text[], $3::numeric[], $4::int[]) AS b (country, cost, parts)
    WHERE s.day = $1 AND s.country = b.country
"""
