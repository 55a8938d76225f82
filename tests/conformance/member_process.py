"""A member of a group in a process of its own, for tests that kill or pause it. It tells each change.

python -m tests.conformance.member_process URL GROUP TOPIC PARTITIONS
"""

import asyncio
import sys

from headrace.log.connect import connect_log


async def main(url: str, group: str, topic: str, partitions: int) -> None:
    log = await connect_log(url, rollback_horizon_ms=3_600_000)
    member = await log.join(group, [topic], partitions)
    known: frozenset[int] = frozenset()
    while True:
        known = await member.changed(known)
        print(*sorted(known), flush=True)


if __name__ == "__main__":
    _, log_url, group_name, topic_name, count = sys.argv
    asyncio.run(main(log_url, group_name, topic_name, int(count)))
