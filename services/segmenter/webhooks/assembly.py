"""The parts of webhooks put together."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headrace.contracts.instant import Millis
from headrace.runtime.metrics import Metrics
from headrace.runtime.webhooks.transport import Transport
from services.segmenter.webhooks.claims import Claims
from services.segmenter.webhooks.deliveries import Deliveries, DeliveryHandler
from services.segmenter.webhooks.sender import Pruner, Sender
from services.segmenter.webhooks.settings import WebhookSettings
from services.segmenter.webhooks.subscriptions import Pool, Subscriptions


@dataclass(frozen=True, slots=True)
class Webhooks:
    """`handler` is for the follower of segment changes, `background` runs beside the HTTP server, the rest serves
    the API."""

    settings: WebhookSettings
    subscriptions: Subscriptions
    deliveries: Deliveries
    handler: DeliveryHandler
    transport: Transport
    sender: Sender
    pruner: Pruner
    clock: Callable[[], Millis]

    def background(self) -> list[Awaitable[None]]:
        """Each runs until it is cancelled."""
        return [self.sender.run(), self.pruner.run()]


def assemble_webhooks(
    settings: WebhookSettings,
    pool: Pool,
    metrics: Metrics,
    *,
    clock: Callable[[], Millis],
    transport: Transport | None = None,
) -> Webhooks:
    """Wire the parts on the segmenter's migrated schema. `transport`: another than the real one."""
    deliveries = Deliveries(pool)
    transport = transport or Transport(settings.reach, concurrency=settings.concurrency)
    sender = Sender(
        Claims(pool, metrics, disable_after_ms=settings.disable_after_ms),
        transport,
        clock=clock,
        jitter=random.random,
        concurrency=settings.concurrency,
    )
    return Webhooks(
        settings,
        Subscriptions(pool),
        deliveries,
        DeliveryHandler(clock=clock, on_pending=sender.wake),
        transport,
        sender,
        Pruner(deliveries, clock=clock),
        clock,
    )
