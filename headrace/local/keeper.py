"""Keeps one program running: starts it again, with a growing pause, whenever it ends by itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from headrace.local.errors import StartFailed
from headrace.local.output import LogFile
from headrace.local.process import Process, WriteLine, describe_end
from headrace.local.program import Program

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
_STABLE_SECONDS = 30.0
_EARLY_ENDS = 3
_PROBE_SECONDS = 0.05


class Keeper:
    """A program that is to run until `stop`. `prepare` is called before each start; `probe` says whether it
    serves; `report` gets one line about each end and return. A program that ends three times before it was
    ever ready is given up: `wait_ready` raises StartFailed."""

    def __init__(
        self,
        name: str,
        prepare: Callable[[], Program],
        probe: Callable[[], Awaitable[bool]],
        *,
        lock: int,
        log: LogFile,
        show: WriteLine,
        report: WriteLine,
    ) -> None:
        self.name = name
        self._prepare = prepare
        self._probe = probe
        self._lock = lock
        self._log = log
        self._show = show
        self._report = report
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._grace = 0.0

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"keep-{self.name}")

    async def wait_ready(self, timeout: float) -> None:
        """Return once it has served; raise StartFailed when it does not within `timeout` seconds."""
        if self._task is None:
            raise RuntimeError("start it first")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, self._task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self._ready.is_set():
                return
            if self._task.done():
                await self._task
            raise StartFailed(f"{self.name} is not ready after {timeout:.0f} s; see {self._log.path}")
        finally:
            ready.cancel()

    async def stop(self, grace: float) -> None:
        """Stop it for good; kill it after `grace` seconds. Idempotent, tolerates never-started."""
        self._grace = grace
        self._stop.set()
        if self._task is not None:
            with contextlib.suppress(StartFailed):
                await self._task
        self._log.close()

    async def kill(self) -> None:
        """Cut a stop's grace short."""
        self._stop.set()
        if self._process is not None:
            await self._process.kill()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause, early_ends = FIRST_PAUSE, 0
        while not self._stop.is_set():
            started = loop.time()
            reason = await self._run_once()
            if self._stop.is_set():
                return
            if not self._ready.is_set():
                early_ends += 1
                if early_ends == _EARLY_ENDS:
                    raise StartFailed(f"{self.name} does not start: {reason}; see {self._log.path}")
            if loop.time() - started > _STABLE_SECONDS:
                pause = FIRST_PAUSE
            self._report(f"{self.name} ended ({reason}); it starts again in {pause:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_once(self) -> str:
        """One run from start to end; why it ended."""
        try:
            process = self._process = await Process.start(self._prepare(), lock=self._lock, write=self._line)
        except OSError as error:
            return f"{error.filename or 'start'}: {error.strerror}"
        watching = asyncio.create_task(self._watch(), name=f"probe-{self.name}")
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await process.stop(self._grace)
            return describe_end(await ended, process.tail)
        finally:
            watching.cancel()
            stopping.cancel()

    async def _watch(self) -> None:
        while not await self._probe():  # noqa: ASYNC110 (another process' state)
            await asyncio.sleep(_PROBE_SECONDS)
        if self._ready.is_set():
            self._report(f"{self.name} is back")
        self._ready.set()

    def _line(self, line: str) -> None:
        self._log.write(line)
        self._show(line)
