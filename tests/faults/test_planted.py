"""The suite is worth what it finds: three planted bugs, each of which must make its row fail."""

import re
from dataclasses import replace

import pytest

from tests.faults import planted, rows
from tests.faults.platform import Platform
from tests.faults.suite import Row, run

pytestmark = pytest.mark.full

EVENTS = 300
PATIENCE_SECONDS = 8.0


def found(bug: str, row: Row) -> str:
    """What the recount has to say about the platform with the bug."""
    with Platform(command=planted.command(bug)) as platform:
        result = run(platform, replace(row, limit=PATIENCE_SECONDS), EVENTS, patience=PATIENCE_SECONDS)
    print(result)
    return "\n".join(f"{kind} {told}" for kind in ("lost", "doubled") for told in getattr(result.findings, kind))


def test_multi_is_executed_twice_when_its_reply_is_lost() -> None:
    # By its id: of a customer who was merged it is not asked whether entries and exits take turns.
    assert re.search(
        r"changes: m\w+: 1 expected, 2 found", found("multi", rows.reply_lost("state", b"EXEC", b":members:"))
    )


def test_serial_numbers_skip_what_is_committed_late() -> None:
    assert re.search(r"lost cdp\.profile-events", found("serial", rows.CALM))


def test_timers_by_the_wall_clock_fire_ahead_of_waiting_orders() -> None:
    assert "changes: abandoners" in found("clock", rows.waiting_carts(4))
