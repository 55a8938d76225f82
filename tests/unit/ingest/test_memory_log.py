"""The log in memory passes the log's own suite where it is used: records and waiting. Groups, durability and
trimming have no meaning without a server."""

from collections.abc import AsyncIterator

import pytest

from headrace.log.port import Log
from tests.conformance.log_engine import LogEngine, opened
from tests.conformance.log_records import RecordTests
from tests.conformance.log_waiting import WaitingTests
from tests.unit.ingest.memory_log import MemoryLog, MemoryServer


class MemoryEngine:
    """See `LogEngine`; there is nothing to stop, trim or fill."""

    url = "memory:"

    def __init__(self) -> None:
        self._server = MemoryServer()

    async def open(self, *, horizon_ms: int, timeout: float, max_record_bytes: int) -> MemoryLog:
        return MemoryLog(self._server, max_record_bytes)

    async def trim(self, log: Log) -> None:
        raise AssertionError("memory is not trimmed")

    async def shrink(self) -> None:
        raise AssertionError("memory is not bounded")

    async def kill(self) -> None:
        raise AssertionError("there is no process")

    async def start(self) -> None:
        raise AssertionError("there is no process")

    def pause(self) -> None:
        raise AssertionError("there is no process")

    def resume(self) -> None:
        raise AssertionError("there is no process")


class TestMemoryLog(RecordTests, WaitingTests):
    @pytest.fixture
    async def engine(self) -> LogEngine:
        return MemoryEngine()

    @pytest.fixture
    async def log(self, engine: LogEngine) -> AsyncIterator[Log]:
        async with opened(engine) as log:
            yield log
