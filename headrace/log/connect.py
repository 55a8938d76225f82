"""The log by URL: `redis://…` is Redis Streams, `kafka://…` is Apache Kafka."""

from headrace.contracts.errors import SettingsError
from headrace.log.kafka import KafkaLog
from headrace.log.port import Log
from headrace.log.redis_streams import RedisStreamsLog


async def connect_log(url: str, *, rollback_horizon_ms: int) -> Log:
    """Open the log that `url` names; raises SettingsError for a scheme we have no adapter for."""
    scheme = url.split(":", 1)[0]
    if scheme in {"redis", "rediss", "unix"}:
        return await RedisStreamsLog.connect(url, rollback_horizon_ms=rollback_horizon_ms)
    if scheme == "kafka":
        return await KafkaLog.connect(url, rollback_horizon_ms=rollback_horizon_ms)
    raise SettingsError(
        f"HEADRACE_LOG_URL={scheme}://… is not supported; use kafka://host:port,… or redis://host:port"
    )
