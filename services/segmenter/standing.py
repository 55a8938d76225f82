"""Who is a member right now: reads of Redis that each see a partition as of one commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from services.segmenter import keys
from services.segmenter.catalog import Catalog
from services.segmenter.commit import Watermark, decode_mark
from services.segmenter.customer import Customer
from services.segmenter.redis_client import Client

_catalogs = msgspec.json.Decoder(Catalog)


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition as of one commit. `listed`: by segment, the members that its list holds, of all customers or of
    those that were asked for. `customers`: those that were asked for and are known."""

    partition: int
    mark: Watermark
    catalog: Catalog
    listed: Mapping[str, frozenset[str]]
    customers: Mapping[str, Customer]
    first_due: int = 0

    @property
    def sweeping(self) -> bool:
        """A control record, or a timer of this instant, is applied to some customers and not yet to the others."""
        return self.mark.swept is not None or 0 < self.first_due <= self.mark.now

    def unsettled(self, profile_id: str) -> bool:
        """A timer of this customer is due and has not fired yet."""
        customer = self.customers.get(profile_id)
        return customer is not None and 0 < customer.due <= self.mark.now


class Standings:
    def __init__(self, redis: Client, partitions: int) -> None:
        self._redis = redis
        self.partitions = partitions

    async def catalog(self, q: int) -> Catalog:
        raw = await self._redis.get(keys.catalog(q))
        return Catalog() if raw is None else _catalogs.decode(cast(bytes, raw))

    async def everybody(self, q: int, segment_ids: Sequence[str]) -> Standing | None:
        """The whole partition, with the members of these segments; None when nothing is stored."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.mark(q), keys.catalog(q))
            pipe.zrange(keys.deadlines(q), 0, 0, withscores=True)
            for segment_id in segment_ids:
                pipe.zrange(keys.members(q, segment_id), 0, -1)
            (mark, catalog), first, *lists = await pipe.execute()
        listed = {
            key: frozenset(raw.decode() for raw in found) for key, found in zip(segment_ids, lists, strict=True)
        }
        return _standing(q, mark, catalog, listed, {}, int(first[0][1]) if first else 0)

    async def customers(self, q: int, profile_ids: Sequence[str], segment_ids: Sequence[str]) -> Standing | None:
        """These customers (at least one) of the partition, and in which of these segments they are listed."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.mark(q), keys.catalog(q))
            pipe.hmget(keys.customers(q), list(profile_ids))
            for segment_id in segment_ids:
                pipe.zmscore(keys.members(q, segment_id), list(profile_ids))
            (mark, catalog), packed, *scores = await pipe.execute()
        listed = {
            key: frozenset(one for one, score in zip(profile_ids, found, strict=True) if score is not None)
            for key, found in zip(segment_ids, scores, strict=True)
        }
        known = {
            key: Customer.unpack(raw, key) for key, raw in zip(profile_ids, packed, strict=True) if raw is not None
        }
        return _standing(q, mark, catalog, listed, known)

    async def profile_ids(self, q: int, segment_ids: Sequence[str]) -> set[str]:
        """Everybody who is known on the partition or listed in one of these segments."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(keys.customers(q))
            for segment_id in segment_ids:
                pipe.zrange(keys.members(q, segment_id), 0, -1)
            found: list[list[bytes]] = await pipe.execute()
        return {raw.decode() for ids in found for raw in ids}


def _standing(
    q: int,
    mark: bytes | None,
    catalog: bytes | None,
    listed: Mapping[str, frozenset[str]],
    customers: Mapping[str, Customer],
    first_due: int = 0,
) -> Standing | None:
    watermark = decode_mark(mark)
    if watermark is None:
        return None
    known = Catalog() if catalog is None else _catalogs.decode(catalog)
    return Standing(q, watermark, known, listed, customers, first_due)
