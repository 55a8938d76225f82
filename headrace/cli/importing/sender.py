"""Sends batches to `POST /v1/import`: several lanes at once, one request a lane, patient with a busy server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from headrace.cli.importing.lanes import Batch
from headrace.contracts.errors import HeadraceError
from headrace.importing.outcome import Rejection

FIRST_PAUSE = 0.2
LAST_PAUSE = 10.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

Answered = Callable[[Batch, list[Rejection]], None]


class ImportFailed(HeadraceError):
    """The server refused the import or did not answer for too long. What was acknowledged stays; run it again."""


class Sender:
    """Lanes of requests. `answered` is told of each batch, with the messages that the server refused."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        lanes: int,
        answered: Answered,
        patience: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._answered = answered
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._queues: list[asyncio.Queue[Batch | None]] = [asyncio.Queue(maxsize=1) for _ in range(lanes)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lanes work inside; leaving waits for every answer. One lane's failure ends all (ExceptionGroup)."""
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(self._work(queue))
            yield
            for queue in self._queues:
                await queue.put(None)

    async def send(self, batch: Batch) -> None:
        """Hand over a batch; waits while its lane is busy."""
        await self._queues[batch.lane].put(batch)
        await asyncio.sleep(0)  # let the lanes work even when none of them is full

    async def _work(self, queue: "asyncio.Queue[Batch | None]") -> None:
        while (batch := await queue.get()) is not None:
            self._answered(batch, rejections(batch, await self._deliver(batch.body())))

    async def _deliver(self, body: bytes) -> Any:
        """Repeat until the server takes it: messageIds make that safe."""
        pause = FIRST_PAUSE
        give_up = self._clock() + self._patience
        while True:
            try:
                response = await self._client.post("/v1/import", content=body)
            except httpx.TransportError as error:
                trouble, wait = f"{type(error).__name__} at {self._client.base_url}", pause
            else:
                if response.status_code == httpx.codes.OK:
                    return response.json()
                if response.status_code not in _BUSY:
                    raise ImportFailed(f"the server refused the import: {refusal(response)}")
                trouble, wait = refusal(response), max(pause, retry_after(response))
            if self._clock() + wait > give_up:
                raise ImportFailed(
                    f"no success for {self._patience:.0f} s ({trouble}); is `headrace up` running? "
                    "Run the same command again to go on from here"
                )
            await self._sleep(wait)
            pause = min(pause * 2, LAST_PAUSE)


def retry_after(response: httpx.Response) -> float:
    """Seconds the server asks to wait, at most 60."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), 60.0) if asked.isascii() and asked.isdigit() else 0.0


def refusal(response: httpx.Response) -> str:
    """The server's own words about an error."""
    try:
        return f"{response.status_code} {response.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"


def rejections(batch: Batch, answer: Any) -> list[Rejection]:
    """The messages of the batch that the server took as dead letters, by the answer's `rejected`."""
    found = []
    for item in answer.get("rejected") or []:
        message = batch.messages[item["index"]]
        reason = item.get("message") or item.get("code") or "rejected"
        found.append(Rejection(message.line, "", f"the server: {reason}", message.message_id, message.rows))
    return found
