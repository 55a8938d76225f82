"""The Redis keys of a partition, all with the hash tag `{q}`: one slot of Redis Cluster, one Lua script."""

from hashlib import blake2b

PREFIX = "headrace:segmenter"


def key(partition: int, *parts: str | int) -> str:
    return ":".join((PREFIX, f"{{{partition}}}", *map(str, parts)))


def mark(partition: int) -> str:
    """String: the watermark as JSON."""
    return key(partition, "mark")


def catalog(partition: int) -> str:
    """String: the partition's definitions as JSON."""
    return key(partition, "catalog")


def customers(partition: int) -> str:
    """Hash: profile id → packed customer."""
    return key(partition, "customers")


def deadlines(partition: int) -> str:
    """Sorted set: profile id by the instant of its one armed deadline."""
    return key(partition, "deadlines")


def members(partition: int, segment_id: str) -> str:
    """Sorted set: profile ids of the members, all with score 0 and so in the order of their ids."""
    return key(partition, "members", segment_id)


def scores(partition: int, population: str, figure: int) -> str:
    """Sorted set: profile ids by one figure of RFM: 0 recency (milliseconds), 1 frequency, 2 monetary value."""
    digest = blake2b(population.encode(), digest_size=12).hexdigest()
    return key(partition, "scores", digest, figure)


def outbox(partition: int, epoch: int) -> str:
    """Stream: transitions to publish; the entry's id is their dense number."""
    return key(partition, "outbox", epoch)


def computed_outbox(partition: int, epoch: int) -> str:
    """Stream: likewise computed traits."""
    return key(partition, "computed", epoch)
