"""A bound on the bodies of requests, for all routes of a service: those that read whole bodies need none."""

from collections.abc import Sequence

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_DISCARDED_BYTES = 64 * 1024 * 1024


async def discard(receive: Receive) -> None:
    """Let the rest of a refused body pass, unless it is absurd: a connection that is closed on unread data is
    reset, and the client never sees the answer."""
    size = 0
    while size <= MAX_DISCARDED_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


class BodyLimit:
    """ASGI app around `app`: 413 for a longer body, as soon as that is known. Nothing of it is decompressed, so
    what is counted is what the routes get. Routes whose path ends with one of `streamed` read piece by piece, and
    have a bound of their own."""

    def __init__(self, app: ASGIApp, streamed: Sequence[str] = (), limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._streamed = tuple(streamed)
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith(self._streamed):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._limit:
            if int(declared) <= MAX_DISCARDED_BYTES and b"expect" not in headers:
                await discard(receive)
            await self._refuse(scope, receive, send)
            return
        limited = _Limited(receive, send, self._limit)
        try:
            await self._app(scope, limited.receive, limited.send)
        except Exception:
            if not limited.exceeded:
                raise
        if limited.exceeded and not limited.started:
            if limited.more:
                await discard(receive)
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"Send at most {self._limit} bytes."
        answer = JSONResponse({"success": False, "code": "body_too_large", "message": message}, 413)
        await answer(scope, receive, send)


class _Limited:
    """One request. The app sees a client that is gone where the body goes beyond the limit; what it answers to
    that is dropped."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self.exceeded = False
        self.more = False
        self.started = False

    async def receive(self) -> Message:
        if self.exceeded:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            self.more = message.get("more_body", False)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self.exceeded and not self.started:
            return
        self.started = True
        await self._send(message)
