"""Running loops side by side, and work that a cancellation must not cut in the middle."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

CANCEL_AGAIN_SECONDS = 1.0


async def finish(work: Awaitable[T]) -> T:
    """Await `work` to its end even when we are cancelled meanwhile: a transaction is never cut in the middle."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # ours or not: the caller is gone, the store's watermark tells what happened
        raise


async def run_together(*work: Awaitable[None]) -> None:
    """Run until the first ends or fails, then end the others; raises the first failure as it is."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _ended(tasks)


async def look_again(look: Callable[[], Awaitable[object]], seconds: float, failed: str) -> None:
    """Look, wait so long, and so on until cancelled. What only watches ends no service: what a look raises is
    logged as the event `failed`."""
    while True:
        try:
            await look()
        except Exception as error:
            log.warning(failed, error=type(error).__name__, exc_info=error)
        await asyncio.sleep(seconds)


async def _ended(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel until all have ended: on Python 3.11 asyncio.wait_for, used by drivers, may lose a cancellation. One
    of ours meanwhile is kept back until then, or they would go on by themselves."""
    cancelled = False
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError:
            cancelled = True
    await asyncio.gather(*tasks, return_exceptions=True)
    if cancelled:
        raise asyncio.CancelledError
