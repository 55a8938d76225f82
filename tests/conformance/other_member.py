"""A member of a group in a process of its own (member_process), which a test may kill and pause."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conformance.log_engine import PARTITIONS


class OtherMember:
    """`reports` has each assignment that it told of."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.reports: list[frozenset[int]] = []

    def assigned(self) -> frozenset[int]:
        """What it told last."""
        return self.reports[-1] if self.reports else frozenset()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def listen(self) -> None:
        """Take down what it tells, until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.reports.append(frozenset(map(int, line.split())))


@asynccontextmanager
async def other_member(url: str, group: str, topic: str) -> AsyncIterator[OtherMember]:
    """Joins the group at once; killed in the end."""
    command = (sys.executable, "-m", "tests.conformance.member_process", url, group, topic, str(PARTITIONS))
    member = OtherMember(await asyncio.create_subprocess_exec(*command, stdout=PIPE))
    listening = asyncio.create_task(member.listen())
    try:
        yield member
    finally:
        if member.process.returncode is None:
            member.process.kill()
        await listening
        await member.process.wait()
