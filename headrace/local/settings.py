"""The settings of `headrace up`, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.runtime.settings import Environment

EMBEDDED_PARTITIONS = 4
KAFKA_PARTITIONS = 24


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What the user chose. None: not chosen, `up` decides. `min_free_mb`: least free disk space to start with;
    `log_memory_mb`: when the embedded log holds so much, ingest answers 503 until consumers have caught up.
    `environment` is handed on to the services."""

    data_dir: Path
    host: str
    partitions: int | None
    rollback_horizon: str
    rollback_horizon_ms: int
    topic_prefix: str
    min_free_mb: int
    log_memory_mb: int
    write_key: str | None = field(repr=False)
    admin_token: str | None = field(repr=False)
    log_url: str | None = field(repr=False)
    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    @property
    def default_partitions(self) -> int:
        return KAFKA_PARTITIONS if (self.log_url or "").startswith("kafka") else EMBEDDED_PARTITIONS

    def port(self, service: str, default: int) -> int:
        return Environment(self.environment).integer(port_variable(service), default, low=1, high=65_535)


def port_variable(service: str) -> str:
    return f"HEADRACE_{service.upper()}_PORT"


def up_settings(values: Mapping[str, str]) -> UpSettings:
    """Raises SettingsError for a value that cannot be used."""
    env = Environment(values)
    log_url = env.optional("HEADRACE_LOG_URL")
    horizon = "10m" if log_url is None else "24h"
    chosen = env.optional("HEADRACE_PARTITIONS") is not None
    return UpSettings(
        data_dir=Path(env.text("HEADRACE_DATA_DIR", ".headrace")),
        host=env.text("HEADRACE_HOST", "127.0.0.1"),
        partitions=env.integer("HEADRACE_PARTITIONS", 0, low=1, high=10_000) if chosen else None,
        rollback_horizon=env.text("HEADRACE_ROLLBACK_HORIZON", horizon),
        rollback_horizon_ms=env.duration_ms("HEADRACE_ROLLBACK_HORIZON", horizon),
        topic_prefix=env.text("HEADRACE_TOPIC_PREFIX", ""),
        min_free_mb=env.integer("HEADRACE_MIN_FREE_MB", 256),
        log_memory_mb=env.integer("HEADRACE_LOG_MEMORY_MB", 1024, low=16),
        write_key=env.optional("HEADRACE_WRITE_KEY"),
        admin_token=env.optional("HEADRACE_ADMIN_TOKEN"),
        log_url=log_url,
        database_url=env.optional("HEADRACE_DATABASE_URL"),
        redis_url=env.optional("HEADRACE_REDIS_URL"),
        environment=dict(values),
    )
