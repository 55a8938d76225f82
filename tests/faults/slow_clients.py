"""Clients that hold connections and hardly say anything (slow loris)."""

import contextlib
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_REQUEST = b"POST /v1/batch HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\nX-Slow: "
_TRICKLE_SECONDS = 0.5


class SlowClients:
    """Open `number` connections, send the beginning of a request on each, then a byte now and then, while the
    context lasts. A connection that the server closes is opened again. `bytes_sent` counts them all."""

    def __init__(self, url: str, number: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connections = [self._opened() for _ in range(number)]
        self.bytes_sent = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "SlowClients":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _opened(self) -> socket.socket:
        connection = socket.create_connection(self._address, 5)
        connection.sendall(_REQUEST)
        connection.setblocking(False)
        return connection

    def _run(self) -> None:
        while not self._over.wait(_TRICKLE_SECONDS):
            for place, connection in enumerate(self._connections):
                self._trickle(place, connection)

    def _trickle(self, place: int, connection: socket.socket) -> None:
        try:
            self.bytes_sent += connection.send(b"a")
        except BlockingIOError:
            return
        except OSError:
            connection.close()
            with contextlib.suppress(OSError):
                self._connections[place] = self._opened()
