"""The event log on Redis Streams: what `headrace up` starts when no Kafka is named."""

from headrace.log.redis_streams.log import RedisStreamsLog

__all__ = ["RedisStreamsLog"]
