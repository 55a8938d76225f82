"""How many messages a customer may get: frequency caps and the customer's own maximum. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from headrace.contracts.campaign import Cap
from headrace.contracts.instant import Millis

MONTH_MS = 30 * 86_400_000
Verdict = Literal["frequency_cap", "monthly_maximum", "priority"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was handed over, or may have been."""

    campaign_id: str
    channel: str
    at: Millis
    marketing: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """A marketing message that is due as well."""

    id: str
    campaign_id: str
    channel: str
    priority: int


@dataclass(slots=True)
class Tally:
    """What one customer has got lately, by message id, and what is about to be sent."""

    sent: dict[str, Sent] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)

    def judge(
        self,
        message_id: str,
        campaign_id: str,
        channel: str,
        priority: int,
        *,
        own: Iterable[Cap],
        common: Iterable[Cap],
        maximum: int | None,
        now: Millis,
    ) -> Verdict | None:
        """Why this message is one too many, or None. `own` caps count the campaign's messages of any purpose,
        `common` ones the marketing of all campaigns; `maximum` is the customer's, within 30 days. `priority`: it
        would fit, but for messages that come first: look again when they are sent."""
        got = [one for key, one in self.sent.items() if key != message_id]
        ahead = [one for one in self.waiting if one.priority > priority and one.id != message_id]
        verdict: Verdict | None = None
        for limit in _limits(campaign_id, channel, own, common, maximum):
            count = sum(limit.counts(one) and one.at > now - limit.within_ms for one in got)
            if count >= limit.at_most:
                return limit.verdict
            if count + sum(limit.counts(one) for one in ahead) >= limit.at_most:
                verdict = "priority"
        return verdict


@dataclass(frozen=True, slots=True)
class _Limit:
    """At most so many within a window; of one channel and one campaign, or (None) of all campaigns' marketing."""

    at_most: int
    within_ms: Millis
    verdict: Literal["frequency_cap", "monthly_maximum"]
    channel: str | None = None
    campaign_id: str | None = None

    def counts(self, one: Sent | Waiting) -> bool:
        if self.channel is not None and one.channel != self.channel:
            return False
        if self.campaign_id is not None:
            return one.campaign_id == self.campaign_id
        return isinstance(one, Waiting) or one.marketing


def _limits(
    campaign_id: str, channel: str, own: Iterable[Cap], common: Iterable[Cap], maximum: int | None
) -> Iterator[_Limit]:
    """Those that a message of this campaign on this channel must heed."""
    for cap, only in [*((cap, campaign_id) for cap in own), *((cap, None) for cap in common)]:
        if cap.channel is None or cap.channel == channel:
            yield _Limit(cap.at_most, cap.within_ms, "frequency_cap", cap.channel, only)
    if maximum is not None:
        yield _Limit(maximum, MONTH_MS, "monthly_maximum")
