"""Reads of live membership in Redis: sizes, lists, one customer; each read sees one commit."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.topics import partition_of
from services.segmenter import keys
from services.segmenter.catalog import Catalog
from services.segmenter.commit import Watermark, decode_mark
from services.segmenter.customer import Customer
from services.segmenter.redis_client import Client

_catalogs = msgspec.json.Decoder(Catalog)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A partition and some of its customers as of one commit."""

    partition: int
    mark: Watermark
    catalog: Catalog
    customers: dict[str, Customer]


@dataclass(frozen=True, slots=True)
class Member:
    profile_id: str
    version: int
    entered_at: int
    entry_id: str


class Members:
    """`partitions` is the deployment's count."""

    def __init__(self, redis: Client, partitions: int) -> None:
        self._redis = redis
        self.partitions = partitions

    async def sizes(self, segment_ids: Sequence[str]) -> dict[str, int]:
        """How many members each segment has, over all partitions."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for segment_id in segment_ids:
                for q in range(self.partitions):
                    pipe.zcard(keys.members(q, segment_id))
            counts: list[int] = await pipe.execute()
        width = self.partitions
        return {key: sum(counts[i * width : (i + 1) * width]) for i, key in enumerate(segment_ids)}

    async def page(self, segment_id: str, cursor: str | None, limit: int) -> tuple[list[Member], str | None]:
        """Members by partition and profile id, and the cursor of the next page."""
        q, after = decode_cursor(cursor)
        found: list[Member] = []
        while q < self.partitions and len(found) < limit:
            ids = await self._ids(q, segment_id, after, limit - len(found))
            if not ids:
                q, after = q + 1, ""
                continue
            after = ids[-1]
            snapshot = await self.snapshot(q, ids)
            members = {} if snapshot is None else snapshot.customers
            found += [
                Member(key, held.version, held.entered_at, held.entry_id)
                for key in ids
                if key in members and (held := members[key].members.get(segment_id)) is not None
            ]
        return found, encode_cursor(q, after) if q < self.partitions else None

    async def customer(self, profile_id: str) -> tuple[Snapshot, Customer]:
        """The customer with its partition's state. Raises ApiError 404."""
        snapshot = await self.snapshot(partition_of(profile_id, self.partitions), [profile_id])
        customer = None if snapshot is None else snapshot.customers.get(profile_id)
        if snapshot is None or customer is None:
            raise ApiError(404, "unknown_profile", "No segment knows this profile; look it up by an identifier.")
        return snapshot, customer

    async def profile_ids(self, q: int) -> list[str]:
        """Every customer of a partition, ascending."""
        raw = cast(list[bytes], await cast(Any, self._redis.hkeys(keys.customers(q))))
        return sorted(key.decode() for key in raw)

    async def snapshot(self, q: int, profile_ids: Sequence[str]) -> Snapshot | None:
        """Watermark, definitions and these customers, read at one instant."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.mark(q), keys.catalog(q))
            if profile_ids:
                pipe.hmget(keys.customers(q), list(profile_ids))
            (mark, catalog), *packed = await pipe.execute()
        watermark = decode_mark(mark)
        if watermark is None:
            return None
        blobs = packed[0] if packed else []
        customers = {
            key: Customer.unpack(raw, key) for key, raw in zip(profile_ids, blobs, strict=True) if raw is not None
        }
        return Snapshot(q, watermark, _catalogs.decode(catalog) if catalog else Catalog(), customers)

    async def _ids(self, q: int, segment_id: str, after: str, limit: int) -> list[str]:
        start = f"({after}" if after else "-"
        found = await self._redis.zrangebylex(keys.members(q, segment_id), start, "+", start=0, num=limit)
        return [raw.decode() for raw in cast(list[bytes], found)]


def encode_cursor(q: int, after: str) -> str:
    return base64.urlsafe_b64encode(f"{q}:{after}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[int, str]:
    """Raises ApiError 400 for what is no cursor of ours."""
    if cursor is None:
        return 0, ""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        q, after = raw.split(":", 1)
        return int(q), after
    except (ValueError, binascii.Error) as error:
        raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.") from error
