"""A campaign's report counted once more, in plain Python over the rows themselves."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]
TAKEN = ("accepted", "delivered", "bounced")


def is_sent(message: Row) -> bool:
    return message["status"] in TAKEN or (
        message["status"] == "failed" and message["provider_message_id"] is not None
    )


def journeys(entries: Sequence[Row]) -> dict[str, Any]:
    def having(status: str) -> list[Row]:
        return [one for one in entries if one["status"] == status]

    def why(status: str) -> dict[str, int]:
        return dict(Counter(one["reason"] or "unspecified" for one in having(status)))

    return {
        "entered": len(entries) - len(having("refused")),
        "refused": why("refused"),
        "holdout": len(having("holdout")),
        "active": len(having("active")),
        "completed": len(having("done")),
        "goal_reached": len(having("converted")),
        "exited": why("exited"),
        "cancelled": why("cancelled"),
        **earned([one for one in entries if one["status"] not in ("refused", "holdout")]),
    }


def earned(entries: Sequence[Row]) -> dict[str, Any]:
    converted = sum(one["converted_at"] is not None for one in entries)
    revenue: dict[str, Any] = {}
    for currency in {one["currency"] for one in entries}:
        own = [one for one in entries if one["currency"] == currency]
        total = sum((one["revenue"] or Decimal(0) for one in own), Decimal(0))
        orders = sum(one["orders"] for one in own)
        if total or orders:
            revenue[currency or "unknown"] = {
                "total": float(total),
                "orders": orders,
                "average_order_value": float(round(total / orders, 4)) if orders else None,
            }
    return {"converted": converted, "conversion_rate": share(converted, len(entries)), "revenue": revenue}


def messages(found: Sequence[Row]) -> dict[str, Any]:
    def count(test: Callable[[Row], object]) -> int:
        return sum(bool(test(one)) for one in found)

    def why(status: str) -> dict[str, int]:
        return dict(Counter(one["reason"] or "unspecified" for one in found if one["status"] == status))

    figures: dict[str, Any] = {
        "messages": len(found),
        "sent": count(is_sent),
        "delivered": count(lambda m: m["status"] == "delivered" or m["delivered_at"] is not None),
        "opened": count(lambda m: m["opened_at"] is not None),
        "opened_by_machine": count(lambda m: m["opened_at"] is None and m["machine_opened_at"] is not None),
        "clicked": count(lambda m: m["clicked_at"] is not None),
        "unsubscribed": count(lambda m: m["unsubscribed_at"] is not None),
        "complained": count(lambda m: m["complained_at"] is not None),
        "parts": sum(m["parts"] or 0 for m in found),
        "cost": float(sum((m["cost"] or Decimal(0) for m in found), Decimal(0))),
        "waiting": count(lambda m: m["status"] in ("pending", "claimed")),
        "bounced": count(lambda m: m["status"] == "bounced"),
        "unknown": count(lambda m: m["status"] == "unknown"),
        "failed": why("failed"),
        "skipped": why("skipped"),
    }
    rated = ("delivered", "opened", "clicked", "unsubscribed", "complained")
    return {**figures, "rates": {name: share(figures[name], figures["sent"]) for name in rated}}


def reached(entries: Sequence[Row], found: Sequence[Row]) -> dict[str, Any]:
    keys = {one["entry_id"] for one in found if is_sent(one)}
    own = [one for one in entries if one["entry_id"] in keys]
    return {"reached": len(own), **earned(own)}


def missing(found: Iterable[Row]) -> dict[str, int]:
    return dict(Counter(name for one in found for name in one["missing"]))


def people(entries: Iterable[Row], held: bool) -> dict[str, Any]:
    own = [one for one in entries if one["status"] != "refused" and (one["status"] == "holdout") == held]
    everybody = {one["profile_id"] for one in own}
    hits = {one["profile_id"] for one in own if one["converted_at"] is not None}
    return {"people": len(everybody), "hits": len(hits), "rate": share(len(hits), len(everybody))}


def amounts(entries: Iterable[Row], held: bool, currency: str) -> list[Decimal]:
    """Of each person."""
    found: dict[str, Decimal] = {}
    for one in entries:
        if one["status"] != "refused" and (one["status"] == "holdout") == held:
            own = one["revenue"] if one["currency"] == currency and one["revenue"] else Decimal(0)
            found[one["profile_id"]] = found.get(one["profile_id"], Decimal(0)) + own
    return list(found.values())


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
