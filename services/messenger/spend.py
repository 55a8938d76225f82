"""What text messages cost per day (UTC) and country, and whether one more is affordable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from headrace.contracts.instant import Millis
from headrace.contracts.policy import SmsPolicy
from services.messenger.store import Connection

_ALL = ""


@dataclass(frozen=True, slots=True)
class Priced:
    """A message that is ready, with its price."""

    id: str
    country: str | None
    parts: int
    cost: Decimal


async def unaffordable(
    connection: Connection, priced: Sequence[Priced], policy: SmsPolicy, now: Millis
) -> set[str]:
    """Ids of the messages that are beyond a spend cap; the others are booked. In the transaction that claims them:
    the day's rows stay locked, in one order, until its end. Without caps nothing is read."""
    if not policy.spend or not priced:
        return set()
    day = datetime.fromtimestamp(now / 1000, UTC).date()
    countries = sorted({one.country or "ZZ" for one in priced} | {_ALL})
    rows = await connection.fetch(_OPEN, day, countries)
    spent = {row["country"]: Decimal(row["cost"]) for row in rows}
    limits = [(cap.country or _ALL, cap.amount) for cap in policy.spend]
    refused: set[str] = set()
    parts = dict.fromkeys(countries, 0)
    for one in priced:
        country = one.country or "ZZ"
        over = any(key in (country, _ALL) and spent[key] + one.cost > most for key, most in limits)
        if over:
            refused.add(one.id)
            continue
        for key in (country, _ALL):
            spent[key] += one.cost
            parts[key] += one.parts
    await connection.execute(
        _BOOK, day, countries, [spent[key] for key in countries], [parts[key] for key in countries]
    )
    return refused


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
