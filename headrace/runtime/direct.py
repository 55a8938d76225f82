"""Requests that go straight to the application once they are there whole, past ASGI.

An ASGI cycle costs several times what taking in one event does: a task, an event, two messages each way, every
header parsed anew. A usual request (a POST that arrives in one piece on an idle connection, its length announced)
needs none of it. Its head is parsed once and known from then on by its bytes, since clients repeat theirs; only
the length differs. Everything else goes on to the parser, unread.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from headrace.runtime.protocol import GuardedHttpProtocol

RawHeaders = Sequence[tuple[bytes, bytes]]
Client = tuple[str, int]

KNOWN_HEADS = 1_024
MAX_DIRECT_HEAD = 4 * 1024

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,7})\r\n")
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class Head(NamedTuple):
    """A usual request's head. Header names are in lower case; the body's length is left out."""

    target: bytes
    headers: list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True):
    """An answer as a whole. Its length is added to the headers when it is sent."""

    status: int
    body: bytes
    headers: RawHeaders


Answered = Callable[[Answer], None]
Start = Callable[[bytes, Client | None, Answered], "asyncio.Future[None] | None"]
"""Serves a request: (body, peer's address, to be called once with the answer). Returns what the answer waits for,
or None to have the request served by ASGI; then it must not have done anything."""


class _Known:
    """A head seen before, and the answer that was sent to it last, as bytes."""

    __slots__ = ("answer", "defaults", "sent", "start")

    def __init__(self, start: Start) -> None:
        self.start = start
        self.answer: Answer | None = None
        self.defaults: RawHeaders | None = None
        self.sent = b""


class Direct:
    """The heads that an application serves itself; it has this as its attribute `direct`. `route` decides by the
    head alone, so its decisions are kept."""

    def __init__(self, route: Callable[[Head], Start | None]) -> None:
        self._route = route
        self.known = lru_cache(maxsize=KNOWN_HEADS)(self._know)

    def forget(self) -> None:
        """Decide anew on every head, since what was decided by has changed."""
        self.known.cache_clear()

    def _know(self, before: bytes, behind: bytes) -> _Known | None:
        """The head whose digits of Content-Length stand between these; None when it is not served directly."""
        head = _read_head(before + b"1" + behind + _HEAD_END)
        start = None if head is None else self._route(head)
        return None if start is None else _Known(start)


class DirectHttpProtocol(GuardedHttpProtocol):
    """Serves directly what the application can, everything else as GuardedHttpProtocol does."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        observed = self.access_log or self.limit_concurrency is not None or self.root_path
        self._direct: Direct | None = None if observed else getattr(self.app, "direct", None)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if (
            self._direct is None
            or self._refused
            or self._reading_head
            or self._reading_body
            or (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
            or not self._serve(self._direct, data)
        ):
            super().data_received(data)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self._direct = None  # the parser reads on in its own way behind an offer to upgrade
        super().on_headers_complete()

    def _serve(self, direct: Direct, data: bytes) -> bool:
        """Whether `data` was one whole request that is served directly; the parser stays between two messages."""
        end = data.find(_HEAD_END, 0, MAX_DIRECT_HEAD)
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None or len(data) != end + 4 + int(length[1]):
            return False
        first, last = length.span(1)
        known = direct.known(data[:first], data[last:end])
        if known is None:
            return False
        cycle = _Cycle(self, known)
        future = known.start(data[end + 4 :], self.client, cycle.answer)
        if future is None:
            return False
        self.cycle = cycle  # type: ignore[assignment]
        self._running = cycle
        self.tasks.add(future)  # type: ignore[arg-type]
        future.add_done_callback(self.tasks.discard)
        self._disarm()
        self._unset_keepalive_if_required()
        return True


class _Cycle:
    """A request under way, as uvicorn and the guards look at it: what comes behind it waits in their pipeline."""

    __slots__ = (
        "_known",
        "_protocol",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    )
    message_event = asyncio.Event()  # nobody waits for it

    def __init__(self, protocol: DirectHttpProtocol, known: _Known) -> None:
        self._protocol = protocol
        self._known = known
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False

    def answer(self, answer: Answer) -> None:
        if self.disconnected:
            return
        protocol = self._protocol
        self.response_started = self.response_complete = True
        protocol.transport.write(self._rendered(answer, protocol.server_state.default_headers))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()

    def _rendered(self, answer: Answer, defaults: RawHeaders) -> bytes:
        """The default headers are another list each second, as they have the date in them."""
        if not self.keep_alive:
            return _render(answer, [*defaults, *answer.headers], b"connection: close\r\n")
        known = self._known
        if answer is not known.answer or defaults is not known.defaults:
            known.answer, known.defaults = answer, defaults
            known.sent = _render(answer, [*defaults, *answer.headers], b"")
        return known.sent


def _render(answer: Answer, headers: RawHeaders, close: bytes) -> bytes:
    lines = [b"%b: %b\r\n" % header for header in headers]
    lines.append(b"content-length: %d\r\n" % len(answer.body))
    return b"".join([STATUS_LINE[answer.status], *lines, close, b"\r\n", answer.body])


class _HeadReader:
    """Callbacks of the parser."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_whole = False
        self.is_exceeded = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_whole = True

    def on_body(self, body: bytes) -> None:
        self.is_exceeded = True

    def on_message_complete(self) -> None:
        self.is_exceeded = True


def _read_head(raw: bytes) -> Head | None:
    """A usual request's head, None for any other: `raw` must end with it and have a length above 0."""
    reader = _HeadReader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    names = [name for name, _ in reader.headers]
    if (
        not reader.is_whole
        or reader.is_exceeded
        or names.count(b"content-length") != 1
        or not _UNUSUAL.isdisjoint(names)
        or parser.get_method() != b"POST"
        or parser.get_http_version() != "1.1"
        or not parser.should_keep_alive()
        or parser.should_upgrade()
    ):
        return None
    return Head(reader.target, [header for header in reader.headers if header[0] != b"content-length"])
