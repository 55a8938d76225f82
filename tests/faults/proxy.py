"""A small TCP proxy in front of an engine: it passes, holds back, delays, cuts, or loses one reply."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_HOST = "127.0.0.1"


class Proxy:
    """Listens on `port` and passes on to `target`. Its methods may be called from any thread."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)
        self._open = asyncio.Event()
        self._delay = 0.0
        self._trap: _Trap | None = None
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._open.set()
        self._server = self._run(asyncio.start_server(self._accept, _HOST, self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def black_hole(self) -> None:
        """Connections stay open and nothing gets through, in either direction, until `heal`: then all that was
        held back arrives late."""
        self._call(self._open.clear)

    def slow(self, seconds: float) -> None:
        """Everything takes that much longer, each way."""
        self._delay = seconds

    def heal(self) -> None:
        self._delay = 0.0
        self._call(self._open.set)

    def cut(self) -> None:
        """Break every connection."""
        self._call(self._cut)

    def lose_reply(self, *request: bytes) -> "Trap":
        """Let the next data that contains all of `request` reach the engine, lose the reply and break the
        connection."""
        return self._set_trap(request, forward=True)

    def cut_before(self, *request: bytes) -> "Trap":
        """Break the connection instead of passing on the next data that contains all of `request`."""
        return self._set_trap(request, forward=False)

    def _set_trap(self, request: tuple[bytes, ...], *, forward: bool) -> "Trap":
        trap = _Trap(request, forward)
        self._call(lambda: setattr(self, "_trap", trap))
        return trap.sprung

    def _call(self, work: Callable[[], object]) -> None:
        async def call() -> None:
            work()

        self._run(call())

    def _run(self, work: "Coroutine[Any, Any, Any]") -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _cut(self) -> None:
        for line in list(self._lines):
            line.cut()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(_HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, upstream[1])
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pump(line, reader, upstream[1], requests=True),
                self._pump(line, upstream[0], writer, requests=False),
            )
        finally:
            self._lines.discard(line)
            line.cut()

    async def _pump(
        self, line: "_Line", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await self._open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._caught(line, data) if requests else line.lost is not None:
                    line.spring()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            line.cut()

    def _caught(self, line: "_Line", data: bytes) -> bool:
        """Whether these requests must not be passed on. A trap works once."""
        trap = self._trap
        if trap is None or not all(part in data for part in trap.request):
            return False
        self._trap, line.lost = None, trap
        return not trap.forward


Trap = threading.Event
"""Set once the trap has sprung."""


class _Trap:
    def __init__(self, request: tuple[bytes, ...], forward: bool) -> None:
        self.request = request
        self.forward = forward
        self.sprung = threading.Event()


class _Line:
    """A connection through the proxy. `lost`: the trap that takes its next reply."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.lost: _Trap | None = None

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def spring(self) -> None:
        self.cut()
        if self.lost is not None:
            self.lost.sprung.set()
