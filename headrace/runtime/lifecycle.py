"""How a service process runs: one uvicorn server, background tasks beside it, a clean stop."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Iterator, Sequence

import structlog
import uvicorn
from starlette.types import ASGIApp

from headrace.runtime.protocol import GuardedHttpProtocol

log = structlog.get_logger()

GRACE_SECONDS = 20
DATE_SECONDS = 1.0
LAST_SECONDS = 45.0
"""A process that has failed is gone after these: what hangs in it may not listen to a cancellation either."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the service stops in its own order. And without its ten looks a
    second whether it should stop, which are most of what an idle process costs: it is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    def stop(self) -> None:
        """Finish the requests and end. Idempotent."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # sets the Date header, to the second
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._stopping.wait()


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    background: Sequence[Awaitable[None]] = (),
    http: type[asyncio.Protocol] = GuardedHttpProtocol,
) -> int:
    """Serve until SIGINT or SIGTERM, or until a background task ends (that is a failure: exit code 1).

    On a stop the server finishes its requests first, then the background tasks are cancelled and awaited.
    `http` is the protocol class.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http,
        loop="uvloop",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
        h11_max_incomplete_event_size=16_384,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(), name="http")
    tasks = [asyncio.ensure_future(task) for task in background]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait([serving, stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in done if task is not stopping]
    for task in failed:
        error = None if task.cancelled() else task.exception()
        log.error("task_ended", task=task.get_name() if isinstance(task, asyncio.Task) else "", exc_info=error)
    with _surely_ending() if failed else contextlib.nullcontext():
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    stopping.cancel()
    return 1 if failed else 0


@contextlib.contextmanager
def _surely_ending() -> Iterator[None]:
    """The process ends, even if what is inside does not."""
    last = threading.Timer(LAST_SECONDS, os._exit, (1,))
    last.daemon = True
    last.start()
    try:
        yield
    finally:
        last.cancel()
