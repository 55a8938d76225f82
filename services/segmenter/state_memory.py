"""Watches how much memory segment state takes: a Redis that is full refuses every commit."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import structlog

from headrace.runtime.metrics import Metrics

log = structlog.get_logger()

LOOK_SECONDS = 10.0


class Informed(Protocol):
    """What is asked of Redis' client."""

    def info(self, section: str) -> Awaitable[Mapping[str, Any]]: ...


class StateMemory:
    """One per process; all of them say the same."""

    def __init__(self, redis: Informed, metrics: Metrics) -> None:
        self._redis = redis
        self._metrics = metrics

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except Exception as error:  # what only watches ends no service
                log.warning("look_failed", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        memory = await self._redis.info("memory")
        self._metrics.state_memory.set(int(memory["used_memory"]))
        self._metrics.state_memory_limit.set(int(memory.get("maxmemory", 0)))
