"""One bash for a whole page: what a block sets and defines, the next ones know."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from uuid import uuid4

_SECONDS = 240.0
# A block ends at its first command that fails, as with a careful reader; the shell goes on.
_STOP_AT_FAILURE = "trap '__status=$?; trap - ERR; return $__status' ERR\n{}\ntrap - ERR\n"


class Shell:
    """Use it as a context; at its end whatever still runs in it is killed."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, scratch: Path) -> None:
        self._file = scratch / "block.sh"
        self._process = subprocess.Popen(
            ("bash", "--noprofile", "--norc", "-o", "pipefail"),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._process.communicate()

    def run(self, text: str) -> tuple[str, int]:
        """What a reader would see, standard error included, and the exit code of the block. One that takes longer
        than four minutes ends the shell; that is told as exit code 137."""
        self._file.write_text(_STOP_AT_FAILURE.format(text))
        end = uuid4().hex
        watch = threading.Timer(_SECONDS, self._kill)
        watch.start()
        try:
            return self._ask(f"source {self._file} </dev/null; printf '\\n%s %s\\n' {end} $?\n", end)
        finally:
            watch.cancel()

    def _kill(self) -> None:
        """With whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ask(self, line: str, end: str) -> tuple[str, int]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line.encode())
        stdin.flush()
        said: list[str] = []
        for raw in stdout:
            text = raw.decode("utf-8", "replace")
            if text.startswith(end):
                return "".join(said), int(text.split()[1])
            said.append(text)
        return "".join(said), 137
