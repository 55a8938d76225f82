"""Forgetting erased people where their changes are kept: webhooks' deliveries, published outputs in Redis.

An erased customer's own state goes when the erasure is applied. The profile service asks for the rest before it
redacts the timeline, and learns how far each partition is.
"""

from collections.abc import Callable, Collection, Sequence
from importlib import resources
from typing import Any, cast

import asyncpg

from services.segmenter import keys
from services.segmenter.commit import Watermark
from services.segmenter.computed_outbox import redacted_computed
from services.segmenter.outbox import redacted_output
from services.segmenter.redis_client import Client
from services.segmenter.store import RedisStore
from services.segmenter.webhooks.deliveries import redact_deliveries

Redacted = Callable[[bytes, Collection[str]], bytes | None]
"""A stored output without the person, if it is about one of these; else None."""
_FOLLOWED = "SELECT epoch, seq FROM follower WHERE partition = $1"


class Forgetting:
    """`writer` does not retry; a script that ran twice changes nothing."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", writer: Client, store: RedisStore, partitions: int
    ) -> None:
        self._pool = pool
        self._writer = writer
        self._store = store
        self._partitions = partitions
        script = resources.files("services.segmenter").joinpath("redact.lua").read_text(encoding="utf-8")
        self._redact = writer.register_script(script)

    async def forget(self, profile_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Take these people out, and tell for each partition up to which row that is all: {partition, epoch, seq,
        transitions, computed}. One whose changes are not all published and followed is left out: ask again."""
        positions = []
        for q in range(self._partitions):
            loaded = await self._store.load(q)
            if loaded is None or not await self._settled(q, loaded[0]):
                continue
            mark = loaded[0]
            people = set(profile_ids)
            await self._forget_outputs(keys.outbox(q, mark.epoch), redacted_output, people)
            await self._forget_outputs(keys.computed_outbox(q, mark.epoch), redacted_computed, people)
            counted = {"transitions": mark.transitions, "computed": mark.computed}
            positions.append({"partition": q, "epoch": mark.epoch, "seq": mark.seq, **counted})
        async with self._pool.acquire() as connection, connection.transaction():
            await redact_deliveries(connection, set(profile_ids))
        return positions

    async def _settled(self, q: int, mark: Watermark) -> bool:
        """Whether everything that the partition decided has been published, and read back by the follower."""
        if mark.swept is not None:
            return False
        row = await self._pool.fetchrow(_FOLLOWED, q)
        followed = (0, 0) if row is None else tuple(row)
        return mark.out_seq == 0 or followed >= (mark.epoch, mark.out_seq)

    async def _forget_outputs(self, key: str, redacted: Redacted, profile_ids: Collection[str]) -> None:
        entries = cast(list[tuple[bytes, dict[bytes, bytes]]], await self._writer.xrange(key))
        instead = []
        for number, fields in entries:
            packed = redacted(fields[b"r"], profile_ids)
            if packed is not None:
                instead += [number, packed]
        if instead:
            await self._redact(keys=[key], args=instead)
