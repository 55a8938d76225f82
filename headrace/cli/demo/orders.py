"""The carried sample of real orders, as a shop would send them today: the last one happens now."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.cli.importing.run import open_source
from headrace.contracts.instant import Millis, format_instant, parse_instant
from headrace.importing.outcome import Outgoing

# A website's event may have 1,000 keys; wholesale orders of this shop have up to 1,114 lines.
MOST_PRODUCTS = 100
# Ofcom keeps +44 7700 900000 to 900999 free for drama: these numbers reach nobody.
_FIRST_PHONE = 447_700_900_000

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Replay:
    """Messages ready to send. `returning`: customers with two orders or more, who are to get one SMS each."""

    customers: Sequence[Message]
    orders: Sequence[Message]
    returning: frozenset[str]


def read_replay(sample: Path, mapping: Path, now: Millis) -> Replay:
    """Read the sample and move it in time so that its last order happens `now`."""
    outcomes = open_source([sample], mapping).outcomes
    orders = [json.loads(outcome.body) for outcome in outcomes if isinstance(outcome, Outgoing)]
    orders.sort(key=lambda order: order["timestamp"])
    shift = now - parse_instant(orders[-1]["timestamp"])
    first = parse_instant(orders[0]["timestamp"]) + shift
    for order in orders:
        order["timestamp"] = format_instant(parse_instant(order["timestamp"]) + shift)
        del order["properties"]["products"][MOST_PRODUCTS:]
    countries = {order["userId"]: order["properties"]["country"] for order in orders if "userId" in order}
    completed = Counter(order.get("userId") for order in orders if order["event"] == "Order Completed")
    returning = frozenset(user for user, number in completed.items() if user is not None and number >= 2)
    customers = [
        message
        for number, (user, country) in enumerate(sorted(countries.items()))
        for message in _newcomer(user, country, number, format_instant(first - 1000))
    ]
    return Replay(customers, orders, returning)


def _newcomer(user: str, country: str, number: int, timestamp: str) -> tuple[Message, Message]:
    """The customer tells a phone number and agrees to messages."""
    shared = {"userId": user, "timestamp": timestamp}
    traits = {"phone": f"+{_FIRST_PHONE + number}", "country": country}
    identify = {**shared, "type": "identify", "messageId": f"demo:identify:{user}", "traits": traits}
    consent = {**shared, "type": "track", "messageId": f"demo:consent:{user}", "event": "Consent Given"}
    return identify, {**consent, "properties": {"channel": "sms"}}
