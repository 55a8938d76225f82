"""How many messages a customer may get: frequency caps and the customer's own maximum. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.contracts.campaign import Cap
from headrace.contracts.instant import Millis

MONTH_MS = 30 * 86_400_000
Verdict = Literal["frequency_cap", "monthly_maximum", "priority"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A marketing message that was handed over, or may have been."""

    campaign_id: str
    channel: str
    at: Millis


@dataclass(frozen=True, slots=True)
class Waiting:
    """A marketing message that is due as well, and comes first by the priority of its campaign."""

    id: str
    campaign_id: str
    channel: str
    priority: int


@dataclass(slots=True)
class Tally:
    """What one customer has got lately, and what is about to be sent."""

    sent: list[Sent] = field(default_factory=list)
    waiting: Sequence[Waiting] = ()

    def add(self, campaign_id: str, channel: str, at: Millis) -> None:
        self.sent.append(Sent(campaign_id, channel, at))

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
        """Why this message is one too many, or None. `own` caps count the campaign's messages, `common` ones all
        campaigns'; `maximum` is the customer's, within 30 days. `priority`: it would fit, but for messages that
        come first: look again when they are sent."""
        ahead = [w for w in self.waiting if w.priority > priority and w.id != message_id]
        verdict: Verdict | None = None
        for cap, only in [*((cap, campaign_id) for cap in own), *((cap, None) for cap in common)]:
            if cap.channel is not None and cap.channel != channel:
                continue
            got = sum(_counts(one, cap.channel, only) and one.at > now - cap.within_ms for one in self.sent)
            if got >= cap.at_most:
                return "frequency_cap"
            if got + sum(_counts(one, cap.channel, only) for one in ahead) >= cap.at_most:
                verdict = "priority"
        if maximum is not None:
            got = sum(one.at > now - MONTH_MS for one in self.sent)
            if got >= maximum:
                return "monthly_maximum"
            if got + len(ahead) >= maximum:
                verdict = "priority"
        return verdict


def _counts(one: Sent | Waiting, channel: str | None, campaign_id: str | None) -> bool:
    return (channel is None or one.channel == channel) and (campaign_id is None or one.campaign_id == campaign_id)
