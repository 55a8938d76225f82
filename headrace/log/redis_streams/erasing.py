"""Taking records out: the partition is copied without them, and the copy takes its place."""

from collections.abc import Sequence

from headrace.log.port import NewRecord
from headrace.log.redis_streams import codec, keys
from headrace.log.redis_streams.server import Server

# a script holds the server up: so many records of up to a megabyte take some milliseconds
STEP = 50
NOTHING = NewRecord(None, None)


async def erase(server: Server, topic: str, partition: int, offsets: Sequence[int]) -> None:
    """Leave nothing of these records but their offset and time. Raises LogError: then nothing has changed."""
    names = [keys.records(topic, partition), keys.erasing(topic, partition)]
    await server.ask("DEL", names[1])  # of one who did not come to the end
    ids = [f"{offset + 1}-0" for offset in offsets]
    while not await server.call(server.rewrite, names, [STEP, codec.encode(NOTHING), *ids]):
        pass
