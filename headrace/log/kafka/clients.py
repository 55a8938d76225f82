"""aiokafka's clients as we use them: started within a deadline, given up without waiting for a dead broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from headrace.log.kafka.address import Address
from headrace.log.port import LogUnavailable

STOP_SECONDS = 2.0
CUT_SECONDS = 0.05


class Startable(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


C = TypeVar("C", bound=Startable)


def options(address: Address, timeout: float, **more: Any) -> dict[str, Any]:
    """Keyword arguments that every client takes. `timeout` bounds a request, in seconds."""
    return {
        "bootstrap_servers": list(address.servers),
        "client_id": "headrace",
        "request_timeout_ms": int(timeout * 1000),
        "retry_backoff_ms": 50,
        **address.security,
        **more,
    }


async def started(client: C, connection: AIOKafkaClient, address: Address, timeout: float) -> C:
    """The client, ready. Raises LogUnavailable; then it is closed."""
    starting = asyncio.ensure_future(client.start())
    with translated(address):
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(starting)
        except BaseException:
            await completed(_never_started(starting, client, connection))
            raise
    return client


async def _never_started(starting: "asyncio.Future[None]", client: Startable, connection: AIOKafkaClient) -> None:
    await _ended(starting)  # one cut in the middle would leave a connection behind
    await stopped(client, connection)


async def stopped(client: Startable, connection: AIOKafkaClient) -> None:
    """Stop it. What waits for a broker that does not answer is given up after a while."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait([stopping], timeout=STOP_SECONDS)
    given_up = time.monotonic() + STOP_SECONDS
    while not stopping.done() and time.monotonic() < given_up:
        cut(connection)  # a stop that is cancelled leaves tasks behind, which go on without their client
        await asyncio.wait([stopping], timeout=CUT_SECONDS)
    await _ended(stopping)
    _seal(connection)
    await _ended(asyncio.ensure_future(connection.close()))


class _Sealed(dict[Any, Any]):
    """The connections of a client that has ended: one that is ready only now is closed at once."""

    def __setitem__(self, node: Any, broker: Any) -> None:
        broker.close()
        super().__setitem__(node, broker)


async def _refuse(*_: Any, **__: Any) -> None:
    """Instead of a connection."""


def _seal(connection: AIOKafkaClient) -> None:
    """What still runs must not connect again: nobody would close that."""
    connection._conns = _Sealed(connection._conns)
    connection._get_conn = _refuse


def cut(connection: AIOKafkaClient) -> None:
    """Let everything that waits for a broker fail, now and from now on."""
    _seal(connection)
    if connection._sync_task is not None:
        connection._sync_task.cancel()
    told = connection._loop.create_future()
    told.set_result(False)
    waiting, connection._md_update_fut = connection._md_update_fut, told
    if waiting is not None and not waiting.done():
        waiting.set_result(False)
    for broker in connection._conns.values():
        if broker._protocol is not None and broker._protocol._transport is not None:
            broker._protocol._transport.abort()  # or it would wait until what was written is taken
        broker.close()


async def completed(work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end; a cancellation meanwhile comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    await task


async def _ended(task: "asyncio.Future[None]") -> None:
    """Wait for the task; cancel it when that takes too long. Its error, if any, is of no interest."""
    await asyncio.wait([task], timeout=STOP_SECONDS)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=STOP_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """The library's errors that a repetition may cure, as ours."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise unavailable(address, error) from error


def unavailable(address: Address, error: BaseException) -> LogUnavailable:
    reason = str(error) or type(error).__name__
    return LogUnavailable(f"Kafka at {address} does not answer as it should: {reason}")


@asynccontextmanager
async def deadline(address: Address, seconds: float) -> AsyncIterator[None]:
    """Everything inside within so many seconds. Raises LogUnavailable."""
    with translated(address):
        async with asyncio.timeout(seconds):
            yield
