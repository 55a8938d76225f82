"""Waiting for news without a connection per wait: one subscription carries every channel of the process."""

import asyncio
from contextlib import suppress

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from headrace.log.port import LogUnavailable
from headrace.log.redis_streams.server import Server

log = structlog.get_logger()

PING_AFTER = 10.0
RETRY_AFTER = 0.2


class Tail:
    """News of one channel. Take `count`, look at the data, then wait until the count has `moved`: whatever
    comes after the look is not missed."""

    def __init__(self) -> None:
        self.count = 0
        self.subscribed = asyncio.Event()
        self._news = asyncio.Event()
        self._end: tuple[int, int] | None = None

    def reached_end(self, offset: int, seen: int) -> None:
        """A look that came after the count was `seen` found no record from `offset` on."""
        self._end = offset, seen

    def is_at_end(self, offset: int) -> bool:
        """True when there cannot be a record at `offset`: a look has shown it, and there was no news since."""
        return self._end == (offset, self.count)

    def notify(self) -> None:
        self.count += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def moved(self, seen: int) -> None:
        while self.count == seen:
            await self._news.wait()


class Tails:
    """The channels this process follows. News may be spurious; after an interruption there always is some."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tails: dict[str, Tail] = {}
        self._pubsub: PubSub | None = None
        self._listener: asyncio.Task[None] | None = None
        self._subscribing: set[asyncio.Task[None]] = set()

    async def follow(self, channel: str) -> Tail:
        """The channel's tail, once the server has confirmed the subscription. Raises LogUnavailable."""
        tail = self._tails.get(channel)
        if tail is None:
            tail = self._tails[channel] = Tail()
            self._subscribe(channel)
        if not tail.subscribed.is_set():
            try:
                async with asyncio.timeout(self._server.timeout):
                    await tail.subscribed.wait()
            except TimeoutError as error:
                raise LogUnavailable(f"the log on {self._server.address} does not answer") from error
        return tail

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        tasks = [*self._subscribing, *([self._listener] if self._listener else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _subscribe(self, channel: str) -> None:
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen_forever(), name="log-tails")
        elif self._pubsub is not None:
            # a task of its own: a waiter that is cancelled must not take the subscription with it
            task = asyncio.create_task(_send_subscribe(self._pubsub, [channel]), name="log-subscribe")
            self._subscribing.add(task)
            task.add_done_callback(self._subscribing.discard)

    async def _listen_forever(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                async with self._server.client.pubsub() as pubsub:
                    await self._listen(pubsub)
            if self._pubsub is not None:
                log.info("log_subscription_lost", server=self._server.address)
            self._pubsub = None
            await asyncio.sleep(RETRY_AFTER)

    async def _listen(self, pubsub: PubSub) -> None:
        asked: set[str] = set()
        while missing := self._tails.keys() - asked:
            await pubsub.subscribe(*missing)
            asked |= missing
        self._pubsub = pubsub
        pinged = False
        while True:
            message = await pubsub.get_message(timeout=PING_AFTER)
            if message is not None:
                pinged = False
                self._take(message["type"], message["channel"])
            elif pinged:
                raise RedisConnectionError("no answer to a ping")
            else:
                await pubsub.ping()
                pinged = True

    def _take(self, kind: str, channel: bytes | None) -> None:
        tail = self._tails.get(channel.decode()) if channel else None
        if tail is None:
            return
        if kind == "subscribe":
            tail.subscribed.set()
        tail.notify()


async def _send_subscribe(pubsub: PubSub, channels: list[str]) -> None:
    with suppress(RedisError, OSError):  # the listener meets the same broken connection and starts again
        await pubsub.subscribe(*channels)
