"""Watches how much memory segment state takes: a Redis that is full refuses every commit."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import look_again

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
        await look_again(self.look, LOOK_SECONDS, "state_memory_not_looked_at")

    async def look(self) -> None:
        memory = await self._redis.info("memory")
        self._metrics.state_memory.set(int(memory["used_memory"]))
        self._metrics.state_memory_limit.set(int(memory.get("maxmemory", 0)))
