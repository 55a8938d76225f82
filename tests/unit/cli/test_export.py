"""`headrace export`: what the segmenter sends, whole or not at all."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.client import Refused, Unreachable
from headrace.cli.deployment import Deployment
from headrace.cli.export import NotExported, export

ROWS = b"profile_id\r\np1\r\n"


class Segmenter:
    """Answers with rows; `promised`: the length it gives, more than it sends when it dies half-way."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.body = ROWS
        self.promised = len(ROWS)

    @contextmanager
    def serving(self) -> Iterator[Deployment]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append(self.path)
                self.send_response(fake.status)
                self.send_header("content-length", str(fake.promised))
                self.end_headers()
                self.wfile.write(fake.body)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests need no access log."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            yield Deployment.of({"HEADRACE_SEGMENTER_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"})
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def run(segmenter: Segmenter, *, form: str = "csv", output: Path | None = None, at: str | None = None) -> bytes:
    out = io.BytesIO()
    with segmenter.serving() as deployment:
        export("vip", deployment, out, form=form, output=output, at=at)
    return out.getvalue()


def test_to_the_standard_output() -> None:
    segmenter = Segmenter()
    assert run(segmenter) == ROWS
    assert segmenter.asked == ["/v1/segments/vip/members.csv"]


def test_to_a_file_as_of_an_instant(tmp_path: Path) -> None:
    segmenter = Segmenter()
    file = tmp_path / "vip.ndjson"
    assert run(segmenter, form="ndjson", output=file, at="2026-01-31T12:00:00Z") == b""
    assert file.read_bytes() == ROWS
    assert segmenter.asked == ["/v1/segments/vip/members.ndjson?at=2026-01-31T12%3A00%3A00Z"]
    assert list(tmp_path.iterdir()) == [file]


def test_half_a_file_is_none(tmp_path: Path) -> None:
    segmenter = Segmenter()
    segmenter.promised = 1_000
    file = tmp_path / "vip.csv"
    file.write_bytes(b"of yesterday")
    with pytest.raises(Unreachable):
        run(segmenter, output=file)
    assert file.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [file]


def test_a_refusal_is_the_segmenters_own_words() -> None:
    segmenter = Segmenter()
    segmenter.status = 404
    segmenter.body = b'{"success":false,"code":"unknown_segment","message":"There is no segment."}'
    segmenter.promised = len(segmenter.body)
    with pytest.raises(Refused, match="There is no segment"):
        run(segmenter)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotExported, match="No such file"):
        run(Segmenter(), output=tmp_path / "none" / "vip.csv")
    with pytest.raises(NotExported, match="csv, ndjson"):
        run(Segmenter(), form="xlsx")
