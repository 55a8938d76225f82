"""One connection that all small commands share: they go out as they come, the replies come back in their order.

What is asked for in one turn of the loop (bounds of every input, the ticks of every partition, the reads after
them) leaves in one write and is fsynced once. A connection of its own for a command, taken from a pool and given
back, costs a process that is idle more than all else it does.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

SHARED_BYTES = 4 * 1024
"""A larger command takes a connection of its own. The server reads 16 KiB at a time from each, and fsyncs once for
what it has read from all: large appends on one connection would be fsynced one by one."""

Part = bytes | str | int
Asked = tuple[tuple[Part, ...], "asyncio.Future[Any]"]


class Pipeline:
    """Makes its connection as the pool of `client` makes them, again after each that broke. `timeout` seconds
    bound every command; a connection on which one has run out of them is given up."""

    def __init__(self, client: Redis, *, timeout: float) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._timeout = timeout
        self._waiting: list[Asked] = []
        self._open: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._news = asyncio.Event()
        self._line: _Line | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def ask(self, *command: Part) -> Any:
        """The reply as the protocol has it. Raises ResponseError for what the server refused, another RedisError
        or OSError when the connection broke or time ran out: then the command may have been run, as after a
        cancellation."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._sender = loop.create_task(self._send_for_ever(), name="log-pipeline")
        reply = loop.create_future()
        self._waiting.append((command, reply))
        self._news.set()
        self._forget_answered()
        self._open.append((loop.time() + self._timeout, reply))
        if self._watch is None:
            self._watch = loop.call_later(self._timeout, self._check, loop)
        return await reply

    async def ask_apart(self, *command: Part) -> Any:
        """The same on a connection of the pool. Raises TimeoutError when time ran out."""
        async with asyncio.timeout(self._timeout):
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def _forget_answered(self) -> None:
        while self._open and self._open[0][1].done():
            self._open.popleft()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all: those who came first run out of time first."""
        late = False
        self._forget_answered()
        while self._open and self._open[0][0] <= loop.time():
            self._open.popleft()[1].set_exception(RedisTimeoutError("no answer in time"))
            self._forget_answered()
            late = True
        if late and self._line is not None:
            self._line.end(RedisConnectionError("no answer in time"))
            self._forget_answered()
        self._watch = loop.call_at(self._open[0][0], self._check, loop) if self._open else None

    async def close(self) -> None:
        """End what is on its way. Idempotent."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._line is not None:
            self._line.end(RedisConnectionError("closed"))
            await self._line.ended()
        _fail(self._waiting, RedisConnectionError("closed"))
        if self._watch is not None:
            self._watch.cancel()

    async def _send_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            asked, self._waiting = self._waiting, []
            try:
                await self._send(asked)
            except asyncio.CancelledError:
                _fail(asked, RedisConnectionError("closed"))
                raise
            except (RedisError, OSError) as error:
                _fail(asked, error)

    async def _send(self, asked: Sequence[Asked]) -> None:
        if self._line is None or self._line.broken:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            self._line = _Line(connection)
        await self._line.send(asked)


class _Line:
    """A connection from its making to its end, with the replies that are due on it."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.broken = False
        self._connection = connection
        self._due: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read_for_ever(), name="log-replies")

    async def send(self, asked: Sequence[Asked]) -> None:
        self._due.extend(reply for _, reply in asked)
        packed = self._connection.pack_commands([command for command, _ in asked])
        await self._connection.send_packed_command(packed, check_health=False)

    def end(self, error: Exception) -> None:
        """Close it and fail what is due. Idempotent."""
        self.broken = True
        self._reader.cancel()
        for reply in self._due:
            if not reply.done():
                reply.set_exception(error)
        self._due.clear()

    async def ended(self) -> None:
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read_for_ever(self) -> None:
        try:
            while True:
                await self._read_one()
        except (RedisError, OSError) as error:
            self.end(error)
        finally:
            self.broken = True
            await self._connection.disconnect(nowait=True)

    async def _read_one(self) -> None:
        try:
            result = await self._connection.read_response()
        except ResponseError as error:
            result = error
        reply = self._due.popleft()
        if reply.done():
            return
        if isinstance(result, Exception):
            reply.set_exception(result)
        else:
            reply.set_result(result)


class Script:
    """A Lua script, known to the server by its hash after the first run."""

    def __init__(self, pipeline: Pipeline, source: str) -> None:
        self._pipeline = pipeline
        self._source = source
        self._hash = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], values: Sequence[Part]) -> Any:
        """What it returns. A server that does not know it has run nothing, and gets it whole."""
        size = sum([len(value) for value in values if isinstance(value, bytes)])
        ask = self._pipeline.ask if size <= SHARED_BYTES else self._pipeline.ask_apart
        try:
            return await ask("EVALSHA", self._hash, len(keys), *keys, *values)
        except NoScriptError:
            return await ask("EVAL", self._source, len(keys), *keys, *values)


def _fail(asked: Sequence[Asked], error: Exception) -> None:
    for _, reply in asked:
        if not reply.done():
            reply.set_exception(error)
