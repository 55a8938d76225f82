"""A stand-in for ingest's `/v1/import` that keeps what it accepts and can be told to misbehave."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], dict[str, Any]]


@dataclass
class FakeIngest:
    """`received` lists every message as it arrived; `answer` is asked first, by the number of the request."""

    answer: Callable[[int, list[dict[str, Any]]], Answer | None] = lambda number, batch: None
    received: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    requests: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, authorization: str, body: bytes) -> Answer:
        batch = json.loads(body)["batch"]
        with self.lock:
            self.requests += 1
            self.authorizations.add(authorization)
            told = self.answer(self.requests, batch)
            if told is None or told[0] == 200:
                self.received += batch
        return told or (200, {}, {"success": True})


@contextmanager
def serving(fake: FakeIngest) -> Iterator[FakeIngest]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers, document = fake.take(self.headers["authorization"], body)
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests need no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
