"""A TCP proxy that loses replies: what the client sent arrives, what the server answers does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class LossyProxy:
    """`lose_reply` after the next request: the connection breaks instead of the answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.lose_reply = False
        self.requests = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._parts._replace(netloc=f":{self._parts.password}@127.0.0.1:{port}"))
        return server

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(reader, up_writer))
                group.create_task(self._pass_replies(up_reader, writer))
        except* (_Ended, OSError):
            self._tasks.discard(task)
        finally:
            for end in (writer, up_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.requests += 1
            writer.write(data)
            await writer.drain()
        raise _Ended

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.lose_reply:
                self.lose_reply = False
                raise _Ended
            writer.write(data)
            await writer.drain()
        raise _Ended


class _Ended(Exception):
    """One side has closed the connection, or its reply was lost."""


@asynccontextmanager
async def lossy_proxy(url: str) -> AsyncIterator[LossyProxy]:
    proxy = LossyProxy(url)
    server = await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop(server)
