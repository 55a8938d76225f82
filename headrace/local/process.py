"""A running program: started under its guard, its output read line by line, stopped with a grace."""

import asyncio
import codecs
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Sequence

from headrace.local.guard import GRACE_SECONDS
from headrace.local.program import Program

_LONGEST_LINE = 16_384
_TAIL = 20
# what the system, and what Valkey says about it
_FULL_DISK = ("No space left on device", "Short write while writing to the AOF")

WriteLine = Callable[[str], None]


class Process:
    """One run of a program. `tail` has its last lines."""

    def __init__(self, process: asyncio.subprocess.Process, write: WriteLine) -> None:
        self._process = process
        self._write = write
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._reading = asyncio.create_task(self._read(), name="output")

    @classmethod
    async def start(cls, program: Program, *, lock: int, write: WriteLine) -> "Process":
        """`lock` is the data folder's: the guard holds it as long as the program may live. `write` gets every
        line of its standard output and error."""
        process = await asyncio.create_subprocess_exec(
            *program.guarded(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(program.environment),
            cwd=program.folder,
            pass_fds=(lock,),
            start_new_session=True,
        )
        return cls(process, write)

    async def wait(self) -> int:
        """Its exit code (128 + n: killed by signal n), once its last line is read."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), 1.0)
        return code if code >= 0 else 128 - code  # negative: the guard itself was killed

    async def stop(self, grace: float) -> None:
        """Ask it to end; after `grace` seconds have it and all it started killed. Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), grace)
        await self.kill()

    async def kill(self) -> None:
        """End it now: the guard sees its pipe close and leaves nothing behind."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self.wait(), GRACE_SECONDS + 2)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.wait()
        self._reading.cancel()

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while data := await stream.read(65_536):
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            while len(rest) > _LONGEST_LINE:
                lines.append(rest[:_LONGEST_LINE])
                rest = rest[_LONGEST_LINE:]
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)

    def _line(self, line: str) -> None:
        line = line.rstrip("\r")
        self.tail.append(line)
        self._write(line)


def describe_end(code: int, tail: Sequence[str]) -> str:
    """Why a program ended, for people: a full disk by its name, else how it ended and its last words."""
    if any(words in line for line in tail for words in _FULL_DISK):
        return "the disk is full: free some space"
    how = f"killed by signal {code - 128}" if code > 128 else f"exit code {code}"
    last = next((line.strip() for line in reversed(tail) if line.strip()), "")
    return f"{how}: {last[:300]}" if last and code <= 128 else how
