"""uvicorn's httptools protocol with the guards it lacks: deadlines, bounds on heads and on connections.

Without them half a header holds a connection for ever, one header of 8 MB is accepted, and so are connections
until there is no file descriptor left for the engines.
"""

import asyncio
import resource
from functools import lru_cache
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEAD_BYTES = 16 * 1024
MAX_URL_BYTES = 8 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
BODY_PIECE = 1024 * 1024
"""A long body has BODY_SECONDS for each piece of this size, and so is not slower than 35 kB/s."""
MAX_CONNECTIONS = 10_000
LINGER_SECONDS = 1.0

_REFUSALS = {
    400: ("bad_request", "This is not a valid HTTP/1.1 request."),
    408: ("request_timeout", "The request took too long to arrive; send it again."),
    414: ("uri_too_long", f"Shorten the address to {MAX_URL_BYTES} bytes."),
    503: ("overloaded", "The service has as many connections as it may; repeat the request."),
    431: ("headers_too_large", f"Send at most {MAX_HEAD_BYTES} bytes of headers."),
}


class _Refused(Exception):
    """Raised in a parser callback to stop parsing; the answer is chosen already."""


@lru_cache(maxsize=1)
def connection_limit() -> int:
    """How many connections a process takes: three quarters of `ulimit -n`, at most 10,000."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if descriptors < 0 else max(1, min(MAX_CONNECTIONS, descriptors * 3 // 4))


class GuardedHttpProtocol(HttpToolsProtocol):
    """Answers 503, 431, 414, 408 and 400 by itself, in the error shape of the services, and closes.

    A request that arrives in one piece, as nearly all do, costs no timer.
    """

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    body_piece = BODY_PIECE
    max_connections: int | None = None
    """None: `connection_limit`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._message = 0
        self._reading_head = False
        self._reading_body = False
        self._pieces_bytes = 0  # of a head that came in several pieces
        self._head_bytes = 0
        self._body_bytes = 0  # since the deadline of the body was set
        self._refusal = 400
        self._refused = False
        self._running: Any = None  # the request at work; `cycle` is the one that came last
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_is_for_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > (self.max_connections or connection_limit()):
            self._refuse(503)
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        unfinished_head = self._message if self._reading_head else None
        super().data_received(data)
        self._measure(len(data), unfinished_head)

    def _measure(self, size: int, unfinished_head: int | None) -> None:
        """Count the pieces of a head that is still incomplete: the parser reports a header only once whole."""
        if self._refused:
            return
        if not self._reading_head:
            self._pieces_bytes = 0
        elif unfinished_head == self._message:
            self._pieces_bytes += size
        else:
            self._pieces_bytes = 1  # its first piece, shared with the end of the request before
        self._body_bytes += size
        if self._reading_body and self._body_bytes > self.body_piece:
            self._arm()
        if self._pieces_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        else:
            self._watch()

    def on_message_begin(self) -> None:
        self._message += 1
        self._reading_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refusal = 414
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = 431
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._reading_body = True
        super().on_headers_complete()
        if not self.pipeline:  # else it waits there
            self._running = self.cycle

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._running, _ = self.pipeline[-1]
        super().on_response_complete()

    def on_message_complete(self) -> None:
        self._reading_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for everything the parser refuses."""
        self._refuse(self._refusal)

    def _watch(self) -> None:
        """Have a deadline for what is being read now: the rest of a head, or the rest of a body."""
        if self._reading_body or (self._reading_head and self._pieces_bytes):
            if self._deadline is None or self._deadline_is_for_body != self._reading_body:
                self._arm()
        elif self._deadline is not None:
            self._disarm()

    def _arm(self) -> None:
        self._disarm()
        self._deadline_is_for_body = self._reading_body
        self._body_bytes = 0
        seconds = self.body_seconds if self._reading_body else self.head_seconds
        self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._reading_body or self._pieces_bytes:
            self._refuse(408)
        else:
            self.transport.close()  # a connection on which nothing was ever sent

    def _refuse(self, status: int) -> None:
        """Answer, then read on for a moment without looking: closing with unread data would reset the
        connection before the client has read the answer."""
        self._refused = True
        self._disarm()
        self._unset_keepalive_if_required()
        cycle = self._running
        busy = cycle is not None and not cycle.response_complete
        self.pipeline.clear()  # what waits behind could not be answered any more
        if busy:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        if not (busy and cycle.response_started):
            self.transport.write(_refusal(status))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _refusal(status: int) -> bytes:
    code, message = _REFUSALS[status]
    body = f'{{"success":false,"code":"{code}","message":"{message}"}}'.encode()
    return b"%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
        STATUS_LINE[status],
        len(body),
        body,
    )
