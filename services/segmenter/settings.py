"""Settings of the segmenter, read once in `main`."""

from dataclasses import dataclass, field

from headrace.runtime.rate.settings import NO_GUARD, GuardSettings, guard_settings
from headrace.runtime.settings import CommonSettings, Environment, common_settings
from services.segmenter.webhooks.settings import WebhookSettings, webhook_settings

DEFAULT_PORT = 8082
PROFILES_PORT = 8081


@dataclass(frozen=True, slots=True)
class Settings:
    """`profiles_url` is where control records go and identifiers are looked up."""

    common: CommonSettings
    database_url: str
    redis_url: str
    profiles_url: str
    port: int
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    guard: GuardSettings = NO_GUARD


def read_settings(env: Environment) -> Settings:
    profiles_port = env.integer("HEADRACE_PROFILES_PORT", PROFILES_PORT, low=1, high=65_535)
    return Settings(
        common=common_settings(env),
        database_url=env.text("HEADRACE_DATABASE_URL"),
        redis_url=env.text("HEADRACE_REDIS_URL"),
        profiles_url=env.text("HEADRACE_PROFILES_URL", f"http://127.0.0.1:{profiles_port}").rstrip("/"),
        port=env.integer("HEADRACE_SEGMENTER_PORT", DEFAULT_PORT, low=1, high=65_535),
        webhooks=webhook_settings(env),
        guard=guard_settings(env),
    )
