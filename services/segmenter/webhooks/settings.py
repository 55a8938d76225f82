"""Settings of webhooks."""

from dataclasses import dataclass

from headrace.contracts.instant import Millis
from headrace.runtime.settings import Environment
from headrace.runtime.webhooks.address import PUBLIC, Reach
from headrace.runtime.webhooks.settings import webhook_reach


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A subscription whose every attempt has failed for `disable_after_ms` is disabled."""

    reach: Reach = PUBLIC
    disable_after_ms: Millis = 5 * 86_400_000
    concurrency: int = 32


def webhook_settings(env: Environment) -> WebhookSettings:
    return WebhookSettings(
        reach=webhook_reach(env),
        disable_after_ms=env.duration_ms("HEADRACE_WEBHOOK_DISABLE_AFTER", "5d"),
        concurrency=env.integer("HEADRACE_WEBHOOK_CONCURRENCY", 32, low=1, high=1000),
    )
