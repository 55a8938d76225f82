"""A journey's webhook: a signed POST (Standard Webhooks) to the server that the step names.

Idempotent: `webhook-id` is our message id and stays the same, and a receiver that keeps the standard knows what it
has had. The guard against requests into our own network is the transport's.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from headrace.contracts.instant import Millis
from headrace.runtime.webhooks.address import Reach
from headrace.runtime.webhooks.guard import Lookup
from headrace.runtime.webhooks.reply import Reply, retry_after_ms
from headrace.runtime.webhooks.transport import TIMEOUT_SECONDS, Transport, Webhook
from services.messenger.providers.breaker import Breaker
from services.messenger.providers.port import (
    NO_CASCADES,
    Accepted,
    NotSent,
    Outgoing,
    Refused,
    SendResult,
    Unsure,
)

_CONNECTIONS = 64
_WAIT = frozenset({429, 502, 504})
_NEVER = frozenset({"forbidden_url", "forbidden_address", "invalid"})
_MOST_FAILING = 1_000


class WebhookProvider:
    """`secrets` all sign. Each receiver has a breaker of its own: one that is down keeps no other waiting."""

    idempotent = True
    cascades = NO_CASCADES

    def __init__(
        self,
        secrets: Sequence[str],
        reach: Reach,
        clock: Callable[[], Millis],
        *,
        name: str = "webhook",
        timeout: float = TIMEOUT_SECONDS,
        lookup: Lookup | None = None,
    ) -> None:
        self.name = name
        self._secrets = secrets
        self._clock = clock
        self._transport = Transport(reach, concurrency=_CONNECTIONS, timeout=timeout, lookup=lookup)
        self._failing: dict[str, Breaker] = {}

    async def send(self, message: Outgoing) -> SendResult:
        receiver = _receiver(message.to)
        now = self._clock()
        if (breaker := self._failing.get(receiver)) is not None:
            if breaker.room(now) == 0:
                return NotSent("receiver_down", breaker.next_at(now) - now)
            breaker.began(now)
        webhook = Webhook(message.to, self._secrets, message.id, message.text.encode())
        reply = await self._transport.send(webhook, now)
        self._observe(receiver, reply)
        return _judge(reply, self._clock())

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        await self._transport.close()

    def _observe(self, receiver: str, reply: Reply) -> None:
        """Only receivers that fail are kept."""
        down = reply.reason not in _NEVER and (reply.status is None or reply.status >= 500)
        if not down:
            self._failing.pop(receiver, None)
        elif receiver in self._failing or len(self._failing) < _MOST_FAILING:
            self._failing.setdefault(receiver, Breaker()).failed(self._clock())


def _receiver(url: str) -> str:
    """Host and port; the same for all that is no URL, and refused."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _judge(reply: Reply, now: Millis) -> SendResult:
    if reply.delivered:
        return Accepted()
    if reply.status is None:
        return _no_answer(reply)
    wait = retry_after_ms(reply.retry_after, now) or None
    if reply.status in _WAIT or reply.status >= 500:
        return NotSent(reply.reason, wait)
    return Refused(reply.reason)


def _no_answer(reply: Reply) -> SendResult:
    if reply.reason in _NEVER:
        return Refused(reply.reason)
    return NotSent(reply.reason) if reply.unsent else Unsure(reply.reason)
