"""Settings of webhooks."""

from dataclasses import dataclass

from headrace.contracts.instant import Millis
from headrace.runtime.settings import Environment


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`allow_private` lets receivers have http and addresses that are not public: for tests and development.
    A subscription whose every attempt has failed for `disable_after_ms` is disabled."""

    allow_private: bool = False
    disable_after_ms: Millis = 5 * 86_400_000
    concurrency: int = 32


def webhook_settings(env: Environment) -> WebhookSettings:
    return WebhookSettings(
        allow_private=env.flag("HEADRACE_WEBHOOK_ALLOW_PRIVATE"),
        disable_after_ms=env.duration_ms("HEADRACE_WEBHOOK_DISABLE_AFTER", "5d"),
        concurrency=env.integer("HEADRACE_WEBHOOK_CONCURRENCY", 32, low=1, high=1000),
    )
