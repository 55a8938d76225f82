"""As many requests are under way as the sender lets be: none waits for the answer to another."""

import asyncio

from aiohttp import web

from services.messenger.providers.http import Answer, HttpApi
from services.messenger.providers.port import Accepted, SendResult

TOGETHER = 100


def _accepted(status: int, answer: Answer) -> SendResult:
    return Accepted(None)


async def test_many_requests_are_under_way_together() -> None:
    arrived = asyncio.Barrier(TOGETHER)

    async def take(request: web.Request) -> web.Response:
        await arrived.wait()  # nobody is answered before all have asked
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api = HttpApi("slow", {})
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        results = await asyncio.gather(*(api.post(url, _accepted, form={"a": "b"}) for _ in range(TOGETHER)))
    finally:
        await api.close()
        await runner.cleanup()
    assert results == [Accepted(None)] * TOGETHER
