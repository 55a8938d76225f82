"""A receiver of spans on loopback: OTLP over HTTP, as a collector takes it."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True)
class Received:
    """A span as it came. `kind` and ids as in the protocol, ids in hex; `links` are the trace ids it links to."""

    service: str
    scope: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, str | int]
    error: bool
    seconds: float


@dataclass
class OtlpReceiver:
    """What came so far. `status` is what it answers; `headers` are the last request's."""

    url: str = ""
    status: int = 200
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    news: Condition = field(default_factory=Condition)

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        with self.news:
            self.paths.add(path)
            self.bodies.append(body)
            self.headers = headers
            if path == "/v1/traces" and self.status == 200:
                self.spans += decode(body)
            self.news.notify_all()

    def of(self, trace: str) -> list[Received]:
        """The spans of a trace, in the order in which they came."""
        with self.news:
            return [span for span in self.spans if span.trace == trace]

    def wait(self, trace: str, names: set[str], seconds: float = 30.0) -> list[Received]:
        """The spans of a trace, once these names are among them."""
        with self.news:
            done = self.news.wait_for(lambda: names <= {s.name for s in self.spans if s.trace == trace}, seconds)
        found = self.of(trace)
        assert done, f"no {names - {span.name for span in found}} among {sorted(span.name for span in found)}"
        return found


def decode(body: bytes) -> Iterator[Received]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    service=str(service),
                    scope=scope.scope.name,
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=tuple(link.trace_id.hex() for link in span.links),
                    attributes=_attributes(span.attributes),
                    error=span.status.code == 2,
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Runs while the context lasts, on a port that the system gives."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(self.path, body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> str | int:
    return value.int_value if value.WhichOneof("value") == "int_value" else value.string_value
