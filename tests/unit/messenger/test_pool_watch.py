"""How many codes pools have left, and that the log says once when they are few."""

from typing import Any

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from headrace.contracts.voucher import parse_voucher_pool
from headrace.runtime.metrics import Metrics
from services.messenger.definitions import Definitions
from services.messenger.pool_watch import Left, PoolWatch, left_of
from tests.unit.messenger.rig import START, Rig
from tests.unit.messenger.voucher_rig import POOL, assign, pool, upload


@pytest.mark.parametrize(
    ("left", "of", "low"),
    [
        (99, 99, True),
        (100, 100, False),
        (100, 2_000, False),
        (100, 2_001, True),
        (0, 0, True),
        (500, 10_000, False),
    ],
)
def test_low_is_under_a_hundred_or_a_twentieth(left: int, of: int, low: bool) -> None:
    assert Left(left, of).low == low


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, Left(3, 10)),
        ({"code": "SPRING"}, None),
        ({"generate": {}}, None),
        ({"generate": {"at_most": 500}}, Left(493, 500)),
        ({"generate": {"at_most": 5}}, Left(3, 10)),
    ],
)
def test_what_is_left_of_a_pool(fields: dict[str, Any], left: Left | None) -> None:
    free = 3 if not fields or fields == {"generate": {"at_most": 5}} else 0
    made = 10 if free else 7
    assert left_of(parse_voucher_pool({**POOL, **fields}), free, made) == left


def said(watched: list[Any]) -> list[tuple[str, int, int]]:
    return [(one["pool"], one["left"], one["of"]) for one in watched if one["event"] == "voucher_pool_low"]


async def test_the_log_says_once_that_a_pool_is_low(rig: Rig) -> None:
    metrics = Metrics("messenger")
    watches = [PoolWatch(rig.pool, metrics, clock=rig.clock), PoolWatch(rig.pool, metrics, clock=rig.clock)]
    await pool(rig)

    async def look() -> list[tuple[str, int, int]]:
        with capture_logs() as logged:
            for watch in watches:
                await watch.look()
        return said(list(logged))

    await upload(rig, *(f"CODE{n}" for n in range(101)))
    assert await look() == []
    await assign(rig, "e1", "e2")
    assert await look() == [("spring", 99, 101)]
    assert await look() == []
    assert 'headrace_voucher_codes_left{pool="spring"} 99.0' in exposed(metrics)
    await upload(rig, *(f"MORE{n}" for n in range(10)))
    assert await look() == []
    await assign(rig, *(f"f{n}" for n in range(20)))
    assert await look() == [("spring", 89, 111)], "it had enough in between"
    await Definitions(rig.pool).delete("vouchers", "spring", START)
    assert await look() == []
    assert "spring" not in exposed(metrics)


def exposed(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()
