"""Reading settings: environment variables `HEADRACE_*`, read once in `main`, each error says what to write."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.contracts.errors import SettingsError
from headrace.runtime import tracing_settings
from headrace.runtime.tracing_settings import TracingSettings
from headrace.runtime.watchdog import DEFAULT_STALL_SECONDS

_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, slots=True)
class Environment:
    """Typed access to the process environment (handed in, so that tests pass a dict)."""

    values: Mapping[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        """The variable's value. `NAME_FILE` may hold a path to read it from (secrets)."""
        value = self.values.get(name)
        if not value and (path := self.values.get(f"{name}_FILE")):
            value = _read_secret(name, path)
        if value:
            return value
        if default is None:
            raise SettingsError(f"{name} is not set. `headrace up` sets it; by hand, export {name}=…")
        return default

    def optional(self, name: str) -> str | None:
        return self.text(name, "") or None

    def integer(self, name: str, default: int, *, low: int = 0, high: int = 2**31) -> int:
        raw = self.text(name, str(default))
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise SettingsError(f"{name}={raw!r} must be a whole number from {low} to {high}, e.g. {default}")
        return int(raw)

    def duration_ms(self, name: str, default: str) -> int:
        """A duration like `250ms`, `90s`, `10m`, `24h` (a bare number is seconds), in milliseconds."""
        raw = self.text(name, default)
        match = _DURATION.fullmatch(raw)
        if match is None:
            raise SettingsError(f"{name}={raw!r} must be a duration such as 250ms, 90s, 10m or 24h")
        return int(match[1]) * _UNITS[match[2] or "s"]

    def flag(self, name: str, default: bool = False) -> bool:
        raw = self.text(name, "true" if default else "false").lower()
        if raw not in {"true", "false", "1", "0", "yes", "no"}:
            raise SettingsError(f"{name}={raw!r} must be true or false")
        return raw in {"true", "1", "yes"}


def _read_secret(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read().strip()
    except OSError as error:
        raise SettingsError(f"{name}_FILE={path!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{name}_FILE={path!r} is not text in UTF-8") from None
    if not secret:
        raise SettingsError(f"{name}_FILE={path!r} is empty: write the value into it, or unset {name}_FILE")
    return secret


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """What every service needs. `topic_prefix` stands before each topic's name."""

    log_url: str
    partitions: int
    topic_prefix: str
    host: str
    admin_token: str
    rollback_horizon_ms: int
    log_json: bool
    tracing: TracingSettings | None = None
    stall_seconds: int = DEFAULT_STALL_SECONDS

    def topic(self, name: str) -> str:
        return self.topic_prefix + name

    def group(self, name: str) -> str:
        """Deployments that share a Kafka must not share its groups."""
        return self.topic_prefix + name


def common_settings(env: Environment) -> CommonSettings:
    log_url = env.text("HEADRACE_LOG_URL")
    kafka = log_url.startswith("kafka")
    return CommonSettings(
        log_url=log_url,
        partitions=env.integer("HEADRACE_PARTITIONS", 24 if kafka else 4, low=1, high=10_000),
        topic_prefix=env.text("HEADRACE_TOPIC_PREFIX", ""),
        host=env.text("HEADRACE_HOST", "127.0.0.1"),
        admin_token=env.text("HEADRACE_ADMIN_TOKEN"),
        rollback_horizon_ms=env.duration_ms("HEADRACE_ROLLBACK_HORIZON", "24h" if kafka else "10m"),
        log_json=env.text("HEADRACE_LOG_FORMAT", "json") == "json",
        tracing=tracing_settings.tracing_settings(
            env.optional(tracing_settings.ENDPOINT),
            env.text(tracing_settings.HEADERS, ""),
            env.text(tracing_settings.RATIO, tracing_settings.DEFAULT_RATIO),
        ),
        stall_seconds=env.integer("HEADRACE_STALL_SECONDS", DEFAULT_STALL_SECONDS, low=60, high=86_400),
    )
