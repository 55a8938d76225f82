"""Commands that are asked for in the same turn of the loop travel together: one write, one wake-up, one fsync.

A command of its own costs the driver many times what it costs the server: a connection taken and given back, a
task woken. What is done for all partitions at once (bounds, ticks, reads after ticks) comes in one turn.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

Part = bytes | str | int


class Pipeline:
    """Sends on connections of `client`, which must not retry. `timeout` seconds bound a trip, the waiting for a
    connection included; then its connection is closed, so that no reply is taken for another's."""

    def __init__(self, client: Redis, *, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._waiting: list[tuple[tuple[Part, ...], asyncio.Future[Any]]] = []
        self._trips: set[asyncio.Task[None]] = set()

    async def ask(self, *command: Part) -> Any:
        """The reply. Raises the driver's error for this command, or for the trip; the command may have been run
        then, as after a cancellation. Commands of one turn are run in the order they were asked for, with others'
        in between."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._leave)
        reply = loop.create_future()
        self._waiting.append((command, reply))
        return await reply

    async def close(self) -> None:
        """End what is on its way. Idempotent."""
        for trip in self._trips:
            trip.cancel()
        await asyncio.gather(*self._trips, return_exceptions=True)

    def _leave(self) -> None:
        asked, self._waiting = self._waiting, []
        commands = [command for command, reply in asked if not reply.done()]
        replies = [reply for _, reply in asked if not reply.done()]
        if commands:
            trip = asyncio.create_task(self._travel(commands, replies), name="log-pipeline")
            self._trips.add(trip)
            trip.add_done_callback(self._trips.discard)

    async def _travel(self, commands: Sequence[tuple[Part, ...]], replies: "Sequence[asyncio.Future[Any]]") -> None:
        try:
            async with asyncio.timeout(self._timeout):
                results = await self._sent(commands)
        except asyncio.CancelledError:
            _fail(replies, RedisConnectionError("closed"))
            raise
        except Exception as error:
            _fail(replies, error)
            return
        for reply, result in zip(replies, results, strict=True):
            if isinstance(result, Exception):
                _fail([reply], result)
            elif not reply.done():
                reply.set_result(result)

    async def _sent(self, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [await self._client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            except ResponseError as error:
                return [error]
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)


class Script:
    """A Lua script, known to the server by its hash after the first run."""

    def __init__(self, pipeline: Pipeline, source: str) -> None:
        self._pipeline = pipeline
        self._source = source
        self._hash = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], values: Sequence[Part]) -> Any:
        """What it returns. A server that does not know it has run nothing, and gets it whole."""
        try:
            return await self._pipeline.ask("EVALSHA", self._hash, len(keys), *keys, *values)
        except NoScriptError:
            return await self._pipeline.ask("EVAL", self._source, len(keys), *keys, *values)


def _fail(replies: "Sequence[asyncio.Future[Any]]", error: Exception) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_exception(error)
