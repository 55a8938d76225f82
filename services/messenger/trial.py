"""A test message: to an address that somebody types in, now, and in no ledger and on no timeline."""

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.template import Template
from services.messenger.address import normal_address
from services.messenger.preview import Previews, Wish
from services.messenger.providers.guard import Channel
from services.messenger.providers.port import Accepted, NotSent, Outgoing, Refused, SendResult
from services.messenger.reasons import sentence
from services.messenger.render import Rendered
from services.messenger.store import Pool
from services.messenger.tokens import Keyring

log = structlog.get_logger()

CAMPAIGN = "test"
MARK = "[TEST] "
_SUPPRESSED = "SELECT EXISTS (SELECT FROM suppression WHERE channel = $1 AND address_hash = $2)"


class Allowance:
    """At most `most` within `window_ms`."""

    def __init__(self, most: int, window_ms: Millis) -> None:
        self._window_ms = window_ms
        self._most = most
        self._taken: deque[Millis] = deque()

    def take(self, now: Millis) -> Millis:
        """0 when one more is allowed, and it is taken; else how many milliseconds to wait."""
        while self._taken and self._taken[0] <= now - self._window_ms:
            self._taken.popleft()
        if len(self._taken) >= self._most:
            return max(1, self._taken[0] + self._window_ms - now)
        self._taken.append(now)
        return 0


class Trials:
    """Sends tests through the providers that real messages go through; a few a minute."""

    def __init__(
        self,
        pool: Pool,
        previews: Previews,
        channels: Mapping[str, Channel],
        keyring: Keyring,
        *,
        clock: Callable[[], Millis],
        phone_region: str | None,
    ) -> None:
        self._pool = pool
        self._previews = previews
        self._channels = channels
        self._keyring = keyring
        self._clock = clock
        self._phone_region = phone_region
        self._allowance = Allowance(10, 60_000)

    async def send(self, template: Template, to: str, wish: Wish) -> dict[str, Any]:
        """As `POST /v1/templates/{id}/test` answers. A customer's wishes are not asked: who tests types the
        address in; one that is suppressed is left alone all the same."""
        channel = template.channel
        address = normal_address(channel, to, phone_region=self._phone_region)
        if address is None:
            raise ApiError(400, "invalid_address", f"This is no address for {channel}: +420601000001, a@b.cz.")
        if channel not in self._channels:
            raise ApiError(409, "no_provider", f"No provider sends {channel}; see docs/settings.md.")
        provider = self._channels[channel].provider()
        done, *_ = await self._previews.rendered(template, wish)
        if await self._pool.fetchval(_SUPPRESSED, channel, self._keyring.address_hash(channel, address)):
            return _answer("refused", "suppressed", done)
        wait = self._allowance.take(self._clock())
        if wait:
            seconds = -(-wait // 1000)
            raise ApiError(429, "too_many_tests", f"Wait {seconds} s: ten tests a minute.", retry_after=seconds)
        result = await provider.send(self._outgoing(template, done, address))
        status, reason = _said(result)
        log.info("test_sent", template_id=template.id, channel=channel, provider=provider.name, status=status)
        return _answer(status, reason, done)

    def _outgoing(self, template: Template, done: Rendered, address: str) -> Outgoing:
        """WhatsApp's templates are approved as they are: nothing can be written before them."""
        message = Outgoing(
            id=f"t{secrets.token_hex(16)}",
            campaign_id=CAMPAIGN,
            to=address,
            text=done.text,
            at=self._clock(),
            channel=template.channel,
            purpose="transactional",
            subject=None if done.subject is None else MARK + done.subject,
            html=done.html,
            extras=done.extras,
        )
        return replace(message, text=MARK + done.text) if template.channel in ("sms", "viber") else message


def _said(result: SendResult) -> tuple[str, str | None]:
    if isinstance(result, Accepted):
        return "accepted", None
    if isinstance(result, Refused):
        return "refused", result.reason
    return ("not_sent" if isinstance(result, NotSent) else "unknown"), result.reason


def _answer(status: str, reason: str | None, done: Rendered) -> dict[str, Any]:
    return {
        "status": status,
        "reason": reason,
        "reason_text": sentence(reason),
        "locale": done.locale,
        "missing": list(done.missing),
    }
