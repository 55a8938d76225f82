"""A process that sends webhooks until it is killed: `python -m tests.e2e.webhooks.doomed DATABASE_URL NOW`."""

import asyncio
import sys

from headrace.runtime.metrics import Metrics
from headrace.runtime.postgres import connect_pool
from headrace.runtime.webhooks.address import ANYWHERE
from services.segmenter.main import SCHEMA
from services.segmenter.webhooks.assembly import assemble_webhooks
from services.segmenter.webhooks.settings import WebhookSettings


async def main(database_url: str, now: int) -> None:
    pool = await connect_pool(database_url, schema=SCHEMA)
    webhooks = assemble_webhooks(WebhookSettings(reach=ANYWHERE), pool, Metrics("test"), clock=lambda: now)
    await webhooks.sender.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
