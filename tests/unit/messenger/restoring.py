"""A messenger process as a whole, and everything that the log says of messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from headrace.contracts.customer_update import MessageRecord
from headrace.contracts.message import MessageOutcome
from headrace.contracts.topics import MESSAGES
from headrace.runtime.tasks import run_together
from services.messenger.assembly import Messenger
from tests.unit.messenger.rig import PARTITIONS, Rig


@asynccontextmanager
async def whole(rig: Rig) -> AsyncIterator[Messenger]:
    """A messenger process with everything that runs in one."""
    messenger = await rig.assemble()
    task = asyncio.ensure_future(run_together(*messenger.background()))
    try:
        yield messenger
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(rig: Rig) -> list[MessageOutcome]:
    """Every outcome on the log, of all epochs."""
    found: list[MessageRecord] = []
    for partition in range(PARTITIONS):
        records = await rig.log.read(rig.topic_prefix + MESSAGES.name, partition, 0)
        found += [msgspec.json.decode(record.value or b"", type=MessageRecord) for record in records]
    return [one for one in found if isinstance(one, MessageOutcome)]
