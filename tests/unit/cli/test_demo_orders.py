"""The demo's replay: real orders, moved in time, sendable as a website sends them."""

import json
from collections import Counter

import pytest

from headrace.cli.demo.orders import MOST_PRODUCTS, Replay, read_replay
from headrace.cli.shipped import example
from headrace.contracts.instant import parse_instant

NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def replay() -> Replay:
    return read_replay(example("retail/online_retail_sample.csv.gz"), example("retail/mapping.yaml"), NOW)


def test_the_replay_ends_now_and_keeps_its_order(replay: Replay) -> None:
    times = [parse_instant(order["timestamp"]) for order in replay.orders]
    assert times == sorted(times)
    assert times[-1] == NOW
    assert {order["event"] for order in replay.orders} == {"Order Completed", "Order Refunded"}
    assert parse_instant(replay.customers[0]["timestamp"]) < times[0]


def test_every_message_passes_a_websites_limits(replay: Replay) -> None:
    assert max(len(json.dumps(order).encode()) for order in replay.orders) < 32 * 1024
    assert max(len(order["properties"]["products"]) for order in replay.orders) == MOST_PRODUCTS


def test_every_customer_has_a_fictional_number_of_their_own_and_agrees(replay: Replay) -> None:
    identified = [m for m in replay.customers if m["type"] == "identify"]
    phones = [m["traits"]["phone"] for m in identified]
    assert len(set(phones)) == len(phones)
    assert all(phone.startswith("+447700900") and len(phone) == 13 for phone in phones)
    buyers = {order["userId"] for order in replay.orders if "userId" in order}
    assert {m["userId"] for m in identified} == buyers
    consents = Counter(m["userId"] for m in replay.customers if m.get("event") == "Consent Given")
    assert consents == Counter(buyers)


def test_those_who_come_back_are_reckoned_from_completed_orders_alone(replay: Replay) -> None:
    completed = Counter(o["userId"] for o in replay.orders if o["event"] == "Order Completed" and "userId" in o)
    assert replay.returning == {user for user, number in completed.items() if number > 1}
    assert 20 < len(replay.returning) < len(completed)
