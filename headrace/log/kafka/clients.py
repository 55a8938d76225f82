"""aiokafka's clients as we use them: started within a deadline, given up without waiting for a dead broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from headrace.log.kafka.address import Address
from headrace.log.port import LogUnavailable

STOP_SECONDS = 2.0


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
            await _ended(starting)  # one cut in the middle would leave a connection behind
            await stopped(client, connection)
            raise
    return client


async def stopped(client: Startable, connection: AIOKafkaClient) -> None:
    """Stop it. What waits for a broker that does not answer is given up after a while."""
    await _ended(asyncio.ensure_future(client.stop()))
    with contextlib.suppress(KafkaError, OSError):
        await connection.close()


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
