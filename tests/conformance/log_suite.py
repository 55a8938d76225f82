"""The log's conformance suite: every adapter passes it, the embedded one included.

A binding derives from `LogSuite` and gives two fixtures: `engine`, shared by tests that only use fresh topics
and groups, and `own_engine`, one test's alone, which may be killed. What an adapter cannot do it overrides
with a strict xfail and the reason. Nothing here may know which adapter runs.
"""

from collections.abc import AsyncIterator

import pytest

from headrace.log.port import Log
from tests.conformance.log_durability import DurabilityTests
from tests.conformance.log_engine import LogEngine, opened
from tests.conformance.log_groups import GroupTests
from tests.conformance.log_rebalance import RebalanceTests
from tests.conformance.log_records import RecordTests
from tests.conformance.log_waiting import WaitingTests


class LogSuite(RecordTests, WaitingTests, GroupTests, RebalanceTests, DurabilityTests):
    """`settles`, `unrenewed` and `handover` are the adapter's figures: see GroupTests. How old records go is the
    engine's own: TrimmingTests and FullLogTests are for one that keeps what consumers still need."""

    @pytest.fixture
    async def log(self, engine: LogEngine) -> AsyncIterator[Log]:
        async with opened(engine) as log:
            yield log
