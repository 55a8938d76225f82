"""Waiting for news without a connection per wait: one subscription carries every channel of the process."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from redis.asyncio.connection import AbstractConnection
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
        self._subscription: _Subscription | None = None
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
        elif self._subscription is not None:
            # a task of its own: a waiter that is cancelled must not take the subscription with it
            task = asyncio.create_task(self._subscription.add([channel]), name="log-subscribe")
            self._subscribing.add(task)
            task.add_done_callback(self._subscribing.discard)

    async def _listen_forever(self) -> None:
        while True:
            subscription = _Subscription(self._server.subscriber(), self._tails)
            try:
                await subscription.open(self._server.timeout)
                self._subscription = subscription
                await subscription.listen()
            except (RedisError, OSError):
                if self._subscription is not None:
                    log.info("log_subscription_lost", server=self._server.address)
            finally:
                self._subscription = None
                await subscription.close()
            await asyncio.sleep(RETRY_AFTER)


class _Subscription:
    """One connection that only listens. It speaks the protocol's version 2, in which news are plain replies."""

    def __init__(self, connection: AbstractConnection, tails: dict[str, Tail]) -> None:
        self._connection = connection
        self._tails = tails
        self._heard = True

    async def open(self, timeout: float) -> None:
        """Connect, and subscribe to what is followed. Raises RedisError or OSError."""
        async with asyncio.timeout(timeout):
            await self._connection.connect()  # type: ignore[no-untyped-call]
        asked: set[str] = set()
        while missing := self._tails.keys() - asked:
            await self._send("SUBSCRIBE", *missing)
            asked |= missing

    async def add(self, channels: Sequence[str]) -> None:
        with suppress(RedisError, OSError):  # the listener meets the same broken connection and starts again
            await self._send("SUBSCRIBE", *channels)

    async def listen(self) -> None:
        """Pass news on until the connection breaks: raises RedisError or OSError."""
        tasks = [asyncio.create_task(self._take_all()), asyncio.create_task(self._keep_alive())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)

    async def _take_all(self) -> None:
        while True:
            message = await self._connection.read_response()
            self._heard = True
            kind, channel = message[0], message[1]
            tail = self._tails.get(channel.decode())
            if tail is not None:
                if kind == b"subscribe":
                    tail.subscribed.set()
                tail.notify()

    async def _keep_alive(self) -> None:
        """A connection may end without a word: ask after a silence, and give it up after a second one."""
        asked = False
        while True:
            self._heard = False
            await asyncio.sleep(PING_AFTER)
            if self._heard:
                asked = False
                continue
            if asked:
                raise RedisConnectionError("no answer to a ping")
            await self._send("PING")
            asked = True

    async def _send(self, *command: str) -> None:
        packed = self._connection.pack_command(*command)
        await self._connection.send_packed_command(packed, check_health=False)
