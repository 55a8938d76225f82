"""The segmenter's state in Redis: one Lua script per commit, on keys of one hash tag (DESIGN §4.1)."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, cast

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from headrace.runtime.failpoints import failpoint
from services.segmenter import keys
from services.segmenter.catalog import Catalog
from services.segmenter.change import Transition
from services.segmenter.commit import Commit, Fenced, Range, Watermark, decode_mark, encode_mark
from services.segmenter.computed_outbox import pack_computed
from services.segmenter.customer import Customer, Scores
from services.segmenter.fold import Due
from services.segmenter.outbox import pack_outputs
from services.segmenter.redis_client import Client, StoreUnavailable

_json = msgspec.json.Encoder(order="deterministic")
_pack = msgspec.msgpack.Encoder().encode
_catalogs = msgspec.json.Decoder(Catalog)


class RedisStore:
    """Keeps `commit.StateStore`. `reader` may retry, `writer` must not."""

    def __init__(self, reader: Client, writer: Client) -> None:
        self._reader = reader
        self._commit = writer.register_script(_script("commit.lua"))
        self._reset = writer.register_script(_script("reset.lua"))

    async def load(self, partition: int) -> tuple[Watermark, Catalog] | None:
        reply = await self._reader.mget(keys.mark(partition), keys.catalog(partition))
        mark, catalog = cast(list[bytes | None], reply)
        watermark = decode_mark(mark)
        if watermark is None:
            return None
        return watermark, Catalog() if catalog is None else _catalogs.decode(catalog)

    async def customers(self, partition: int, profile_ids: Sequence[str]) -> dict[str, Customer]:
        if not profile_ids:
            return {}
        reply = cast(
            Awaitable[list[bytes | None]], self._reader.hmget(keys.customers(partition), list(profile_ids))
        )
        packed = zip(profile_ids, await reply, strict=True)
        return {key: Customer.unpack(raw, key) for key, raw in packed if raw is not None}

    async def due(self, partition: int, until: int, limit: int) -> list[Due]:
        reply = self._reader.zrangebyscore(
            keys.deadlines(partition), "-inf", until, start=0, num=limit, withscores=True
        )
        found = cast(list[tuple[bytes, float]], await reply)
        return [(int(score), member.decode()) for member, score in found]

    async def profile_ids(self, partition: int) -> list[str]:
        reply = cast(Awaitable[list[bytes]], self._reader.hkeys(keys.customers(partition)))
        return sorted(raw.decode() for raw in await reply)

    async def scored(self, partition: int, population: str, ranges: Sequence[Range]) -> list[str]:
        found: set[str] = set()
        for figure, low, high in ranges:
            index = keys.scores(partition, population, figure)
            reply = cast(list[bytes], await self._reader.zrangebyscore(index, low, high))
            found.update(raw.decode() for raw in reply)
        return sorted(found)

    async def commit(self, partition: int, expected: Watermark, commit: Commit) -> None:
        mine = encode_mark(commit.mark)
        segments = sorted({change.segment_id for change in commit.transitions})
        names = [
            keys.mark(partition),
            keys.catalog(partition),
            keys.customers(partition),
            keys.deadlines(partition),
            keys.outbox(partition, commit.mark.epoch),
            keys.computed_outbox(partition, commit.mark.epoch),
            *(keys.members(partition, segment_id) for segment_id in segments),
            *(keys.scores(partition, population, figure) for population in commit.scores for figure in range(3)),
        ]
        catalog = b"" if commit.catalog is None else _json.encode(commit.catalog)
        arguments = [encode_mark(expected), mine, catalog, _packed(commit, segments)]
        failpoint("before_commit")
        try:
            stored = await self._commit(keys=names, args=arguments)
            failpoint("after_commit")
        except (RedisConnectionError, RedisTimeoutError) as error:
            stored = await self._after_lost_reply(partition, error)
            if stored == arguments[0]:
                raise StoreUnavailable("Redis did not take the commit; it is tried again") from error
        except RedisError as error:
            raise StoreUnavailable(f"Redis refused the commit: {error}") from error
        if stored != mine:
            raise Fenced(f"partition {partition} has moved on")

    async def reset(self, partition: int, mark: Watermark) -> None:
        expected = await self._reader.get(keys.mark(partition)) or b""
        pattern = keys.key(partition, "*")
        found = [raw.decode() async for raw in self._reader.scan_iter(match=pattern, count=1000)]
        names = [keys.mark(partition), *(name for name in found if name != keys.mark(partition))]
        if await self._reset(keys=names, args=[expected, encode_mark(mark)]) != encode_mark(mark):
            raise Fenced(f"partition {partition} has moved on")

    async def _after_lost_reply(self, partition: int, error: RedisError) -> bytes:
        """What is stored, when the reply to a commit was lost: it says whether the commit happened."""
        try:
            return cast(bytes, await self._reader.get(keys.mark(partition)) or b"")
        except RedisError:
            raise StoreUnavailable("Redis does not answer") from error


def _packed(commit: Commit, segments: Sequence[str]) -> bytes:
    """What commit.lua unpacks: one argument, since each costs as much as what it says."""
    kept = {key: customer for key, customer in commit.customers.items() if customer is not None}
    forgotten = [key for key, customer in commit.customers.items() if customer is None]
    moved = [(key, customer.due) for key, customer in kept.items() if customer.due != customer.stored_due]
    members = _memberships(commit.transitions)
    sections: list[list[Any]] = [
        [part for key, customer in kept.items() for part in (key, _string(customer.pack()))],
        forgotten,
        [part for key, due in moved if due for part in (due, key)],
        [*forgotten, *(key for key, due in moved if not due)],
        [
            part
            for output, packed in zip(commit.outputs, pack_outputs(commit.outputs), strict=True)
            for part in (f"{output.seq}-0", _string(packed))
        ],
        [
            part
            for output, packed in zip(commit.computed, pack_computed(commit.computed), strict=True)
            for part in (f"{output.seq}-0", _string(packed))
        ],
        *(section for segment_id in segments for section in members[segment_id]),
        *(
            section
            for changes in commit.scores.values()
            for figure in range(3)
            for section in _scored(changes, figure)
        ),
    ]
    return _pack(sections)


def _scored(changes: Mapping[str, Scores | None], figure: int) -> tuple[list[float | str], list[str]]:
    """ZADD's and ZREM's arguments for the index of one figure."""
    placed: list[float | str] = []
    for profile_id, scores in changes.items():
        if scores is not None:
            placed += (float(scores[figure]), profile_id)
    return placed, [profile_id for profile_id, scores in changes.items() if scores is None]


def _string(raw: bytes) -> msgspec.Raw:
    """As a MessagePack string, whatever the bytes: Redis' own reader knows no binary type."""
    return msgspec.Raw(b"\xdb%b%b" % (len(raw).to_bytes(4, "big"), raw))


def _memberships(transitions: Iterable[Transition]) -> dict[str, tuple[list[int | str], list[str]]]:
    """By segment, ZADD's and ZREM's arguments: each customer's last transition of the commit decides."""
    last = {(change.segment_id, change.profile_id): change.action for change in transitions}
    found: dict[str, tuple[list[int | str], list[str]]] = {}
    for (segment_id, profile_id), action in last.items():
        joined, left = found.setdefault(segment_id, ([], []))
        if action == "entered":
            joined += (0, profile_id)
        else:
            left.append(profile_id)
    return found


def _script(name: str) -> str:
    return resources.files("services.segmenter").joinpath(name).read_text(encoding="utf-8")
