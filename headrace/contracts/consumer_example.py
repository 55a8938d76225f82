"""An example in the documentation: a consumer of segment changes. A test runs it as it stands there."""

TEXT = """\
## A consumer of segment changes

A change may stand on `cdp.segment-changes.v1` more than once: after a failure it is published again with the same
`messageId`. Its `sequence` rises, not densely, per profile and segment. So of each pair the last change is all
that must be kept to know one that comes again, or that was overtaken. This prints each change once:

```python
import asyncio, json, sys
from aiokafka import AIOKafkaConsumer  # pip install aiokafka


async def main(servers: str) -> None:
    last: dict[tuple[str, str], tuple[str, int]] = {}  # keep it where you keep what you do with the changes
    consumer = AIOKafkaConsumer(
        "cdp.segment-changes.v1",
        bootstrap_servers=servers,
        group_id="example",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        async for record in consumer:
            change = json.loads(record.value)
            properties = change["properties"]
            pair = change["profile"]["id"], properties["segment_id"]
            message_id, sequence = last.get(pair, ("", 0))
            if change["messageId"] != message_id and properties["sequence"] > sequence:
                print(change["messageId"], *pair, properties["action"], flush=True)
                last[pair] = change["messageId"], properties["sequence"]
            await consumer.commit()


asyncio.run(main(sys.argv[1]))  # localhost:9092
```

What writes to a database does it in one transaction: what it does with the change, and the pair's new `messageId`
and `sequence`. Who has no Kafka takes [webhooks](webhooks.md): the embedded log of `headrace up` is none.
"""
