"""Calls a provider as fast as one process can and does nothing else: `python -m tests.bench.calls URL SECONDS
N`, with N connections. Prints calls per second."""

import asyncio
import sys
import time

import aiohttp
import uvloop


async def main(url: str, seconds: float, connections: int) -> None:
    done, end = 0, time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def calls() -> None:
            nonlocal done
            while time.perf_counter() < end:
                form = {"To": f"+420601{done:06d}", "From": "+420777000000", "Body": "Hello"}
                async with session.post(url, data=form) as reply:
                    await reply.read()
                done += 1

        await asyncio.gather(*(calls() for _ in range(connections)))
    print(done / seconds)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
