"""A stand-in for a service: `fake_service.py NAME`. Says what happens to it in `events.txt` of the data
folder, answers 200 to everything, and starts a child of its own that must not outlive it. With
FAKE_STUBBORN=NAME it ignores SIGTERM."""

import http.server
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = os.environ["HEADRACE_PARTITIONS"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _note(what: str) -> None:
    with Path(os.environ["HEADRACE_DATA_DIR"], "events.txt").open("a") as file:
        file.write(f"{what}\n")


def _stop(number: int, frame: FrameType | None) -> None:
    _note(f"stop {sys.argv[1]}")
    sys.exit(0)


def main() -> None:
    name = sys.argv[1]
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("FAKE_STUBBORN") == name else _stop)
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(os.environ["HEADRACE_DATA_DIR"], f"{name}.grandchild").write_text(str(child.pid))
    server = http.server.HTTPServer(("127.0.0.1", int(os.environ[f"HEADRACE_{name.upper()}_PORT"])), _Handler)
    _note(f"start {name}")
    print(f"{name} says hello", file=sys.stderr, flush=True)
    server.serve_forever()


main()
