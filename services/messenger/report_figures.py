"""Rows that were counted, added up to what a report says. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]

_UNSPECIFIED = "unspecified"
_UNKNOWN_CURRENCY = "unknown"
_COUNTS = (
    *("messages", "sent", "delivered", "opened", "opened_by_machine", "clicked", "unsubscribed", "complained"),
    "parts",
)


def journeys(rows: Sequence[Row]) -> dict[str, Any]:
    """How entries went. `entered` is the sum of holdout, active, completed, goal_reached, exited and cancelled;
    who was refused never entered. What is converted and earned leaves the holdout out: `uplift` has it."""
    by_status = _by(rows, "status")
    treated = [row for row in rows if row["status"] not in ("refused", "holdout")]
    entered = sum(row["entries"] for row in rows if row["status"] != "refused")
    return {
        "entered": entered,
        "refused": reasons(by_status["refused"], "entries"),
        "holdout": _total(by_status["holdout"], "entries"),
        "active": _total(by_status["active"], "entries"),
        "completed": _total(by_status["done"], "entries"),
        "goal_reached": _total(by_status["converted"], "entries"),
        "exited": reasons(by_status["exited"], "entries"),
        "cancelled": reasons(by_status["cancelled"], "entries"),
        **earned(treated),
    }


def earned(rows: Sequence[Row]) -> dict[str, Any]:
    """Conversions and what they brought, of these entries."""
    converted = _total(rows, "converted")
    revenue = {currency or _UNKNOWN_CURRENCY: _earned_in(own) for currency, own in _by(rows, "currency").items()}
    return {
        "converted": converted,
        "conversion_rate": rate(converted, _total(rows, "entries")),
        "revenue": {currency: one for currency, one in sorted(revenue.items()) if one["orders"] or one["total"]},
    }


def goal_progress(rows: Sequence[Row], target: int) -> dict[str, Any]:
    """How far those who are treated have come: `progress` is the part of all that they would have to do."""
    treated = [row for row in rows if row["status"] not in ("refused", "holdout")]
    entries, goals = _total(treated, "entries"), _total(treated, "goals")
    return {
        "target": target,
        "begun": _total(treated, "begun"),
        "reached": _total(treated, "converted"),
        "events": goals,
        "progress": rate(goals, entries * target),
    }


def messages(rows: Sequence[Row]) -> dict[str, Any]:
    """What became of messages. `opened` are people, `opened_by_machine` those that only a mail proxy opened."""
    by_status = _by(rows, "status")
    counts = {name: _total(rows, name) for name in _COUNTS}
    return {
        **counts,
        "cost": number(sum((row["cost"] for row in rows), Decimal(0))),
        "waiting": _total(by_status["pending"], "messages") + _total(by_status["claimed"], "messages"),
        "bounced": _total(by_status["bounced"], "messages"),
        "unknown": _total(by_status["unknown"], "messages"),
        "failed": reasons(by_status["failed"], "messages"),
        "skipped": reasons(by_status["skipped"], "messages"),
        "rates": {
            name: rate(counts[name], counts["sent"])
            for name in ("delivered", "opened", "clicked", "unsubscribed", "complained")
        },
    }


def statuses(rows: Sequence[Row]) -> dict[str, int]:
    return {status: _total(own, "messages") for status, own in sorted(_by(rows, "status").items())}


def reasons_by_status(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for status, own in sorted(_by(rows, "status").items()):
        if with_reason := [row for row in own if row["reason"] is not None]:
            found[status] = reasons(with_reason, "messages")
    return found


def reasons(rows: Iterable[Row], what: str) -> dict[str, int]:
    """How many for each reason, the most frequent first."""
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        found[row["reason"] or _UNSPECIFIED] += row[what]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Rows by these columns, in the order of a campaign's steps."""
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return dict(sorted(found.items(), key=lambda item: [step_order(part) for part in item[0]]))


def step_order(path: str) -> list[tuple[int, int, str]]:
    """Sorts paths of steps: 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.split(".")]


def rate(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def number(value: Decimal) -> int | float:
    """As JSON has it."""
    return int(value) if value == value.to_integral_value() else float(value)


def _earned_in(rows: Sequence[Row]) -> dict[str, Any]:
    total = sum((row["revenue"] or Decimal(0) for row in rows), Decimal(0))
    orders = _total(rows, "orders")
    average = float(round(total / orders, 4)) if orders else None
    return {"total": number(total), "orders": orders, "average_order_value": average}


def _by(rows: Iterable[Row], name: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _total(rows: Iterable[Row], name: str) -> int:
    return sum(row[name] for row in rows)
